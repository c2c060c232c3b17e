"""How the kernel's functions are compiled, and instructions that numba has no words for.

Only ``fold`` and ``group_rows`` are called from Python and cached on disk. numba's cache notices changes
of the file that a function stands in, not of those it calls: so both carry :data:`SOURCES` in a closure,
which numba makes part of the cache's key.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class Decorator(Protocol):
    """Compiles a function, which keeps its types."""

    def __call__(self, function: Kernel, /) -> Kernel:
        """Compile a function."""


WHOLE: Final = {"reassoc", "nsz", "nnan"}
"""For sums and maxima of whole numbers below 2**53 that are never NaN: each partial sum is exact, so
their order, and with it the width of the machine's vectors, cannot show."""
_OPTIONS: Final = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

inner: Final[Decorator] = njit(**_OPTIONS)
"""A function that only compiled functions call."""
inlined: Final[Decorator] = njit(**_OPTIONS, forceinline=True)
"""One that takes records of many arrays: they cost nothing where it is part of its caller."""
whole: Final[Decorator] = njit(**_OPTIONS, fastmath=WHOLE)
"""One that adds up whole numbers, in any order."""
whole_or_nan: Final[Decorator] = njit(**_OPTIONS, fastmath=WHOLE - {"nnan"})
"""The same, where some may be missing."""
woven: Final[Decorator] = njit(**_OPTIONS, inline="always")
"""One called from one place, which numba writes into its caller: it is compiled only there, so that a chain
of them takes no longer to compile than one long function."""
entry: Final[Decorator] = njit(error_model="numpy", nogil=True, cache=True)
"""One that Python calls, without the interpreter's lock; its machine code is kept on disk."""


def digest_sources(folder: Path) -> int:
    """Digest the text of a folder's modules."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7]) or 1


SOURCES: Final = digest_sources(Path(__file__).parent)
"""Changes with any line of the kernel; never 0."""


@intrinsic
def prefetch(_context: Any, values: Any, _index: Any) -> Any:
    """Ask for the cache line of ``values.flat[index]``, which will be needed soon.

    Events and vectors are in the order of arrival, the fold goes entity by entity: without this,
    nearly every event waits for memory.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        line = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [line, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(values, types.intp), generate


@intrinsic
def borrow(_context: Any, values: Any) -> Any:
    """Make a view that does not count references to its memory, which the caller must keep.

    Counting is an atomic operation for each view of a column: a quarter of the fold's time.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        owner = context.make_array(kind)(context, builder, args[0])
        view = context.make_array(kind)(context, builder)
        populate_array(
            view,
            data=owner.data,
            shape=owner.shape,
            strides=owner.strides,
            itemsize=owner.itemsize,
            meminfo=None,
        )
        return view._getvalue()  # noqa: SLF001  (the way to hand a struct back that numba documents)

    return values(values), generate


@intrinsic
def shaped(_context: Any, values: Any, shape: Any) -> Any:
    """Make a view of numbers in a row as so many rows and columns (or levels, rows and columns).

    Like ``borrow`` it counts no references. With numba's own ``reshape`` each event calls the counter a
    dozen times, and the compiler must expect each call to change all memory.
    """
    kind = types.Array(values.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        owner = context.make_array(signature.args[0])(context, builder, args[0])
        lengths = cgutils.unpack_tuple(builder, args[1])
        strides = [owner.itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        view = context.make_array(kind)(context, builder)
        populate_array(
            view, data=owner.data, shape=lengths, strides=strides, itemsize=owner.itemsize, meminfo=None
        )
        return view._getvalue()  # noqa: SLF001  (as above)

    return kind(values, shape), generate
