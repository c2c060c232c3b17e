"""Four numbers in one register, for compiled loops: numba makes vectors of long loops only.

A :class:`Lanes` lives in compiled code alone; ``load`` and ``store`` move it from and to an array.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

WIDTH: Final = 4
_VECTOR: Final = ir.VectorType(ir.DoubleType(), WIDTH)


class Lanes(types.Type):  # type: ignore[misc]
    """numba's type of them."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes: Final = Lanes()


@register_model(Lanes)
class _Model(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(_context: Any, _array: Any, _index: Any) -> Any:
    """Read ``array.flat[index : index + 4]``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args[0], args[1]), align=8)

    return lanes(_array, types.intp), generate


@intrinsic
def store(_context: Any, _array: Any, _index: Any, _value: Any) -> Any:
    """Write ``array.flat[index : index + 4]``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature.args[0], args[0], args[1]), align=8)
        return context.get_dummy_value()

    return types.void(_array, types.intp, lanes), generate


@intrinsic
def spread(_context: Any, _value: Any) -> Any:
    """Put one number into all four."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        number = ir.IntType(32)
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[0], number(0))
        every = ir.Constant(ir.VectorType(number, WIDTH), [number(0)] * WIDTH)
        return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), every)

    return lanes(types.float64), generate


def _operation(name: str) -> Any:
    @intrinsic
    def operate(_context: Any, _a: Any, _b: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return getattr(builder, name)(args[0], args[1])

        return lanes(lanes, lanes), generate

    return operate


plus: Final = _operation("fadd")
minus: Final = _operation("fsub")
times: Final = _operation("fmul")
over: Final = _operation("fdiv")


@intrinsic
def total(_context: Any, _value: Any) -> Any:
    """Add the four up."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        at = [builder.extract_element(args[0], ir.IntType(32)(i)) for i in range(WIDTH)]
        return builder.fadd(builder.fadd(at[0], at[1]), builder.fadd(at[2], at[3]))

    return types.float64(lanes), generate
