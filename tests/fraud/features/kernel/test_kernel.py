"""The kernel's machine code: compiled once for all callers, and again after any change of its text."""

import struct

import numpy as np
import pytest
from llvmlite.binding import ObjectFileRef

from fraud.errors import BadState
from fraud.features.engine import fold_events
from fraud.features.kernel import grouping, layout, native
from fraud.features.kernel.fold import fold_any, fold_plain
from fraud.schema.default import MERCHANT, USER
from services.scoring.fold import SingleFold
from tests.fraud.features.streams import SMALL_MERCHANT, SMALL_USER, events_of, long_stream


def test_batch_and_single_events_of_all_entities_share_one_compilation():
    events = events_of(long_stream(1, 30))
    for entity in (USER, MERCHANT, SMALL_USER, SMALL_MERCHANT):
        states = fold_events(entity, events, {}).states
        fold_events(entity, events, states, keep_states=False)
        vector = np.empty((1, 100))
        _, state = SingleFold(entity).fold(events[:1], None, vector, 0)
        SingleFold(entity).fold(events[:1], state, vector, 0)
    assert len(fold_plain.signatures) == 1


def test_a_change_of_any_module_of_the_kernel_changes_the_key_of_its_code(tmp_path):
    (tmp_path / "distances.py").write_text("EARTH_KM = 6371.0088\n")
    (tmp_path / "fold.py").write_text("pass\n")
    before = native.digest_sources(tmp_path)
    (tmp_path / "distances.py").write_text("EARTH_KM = 6371.0\n")
    assert native.digest_sources(tmp_path) != before


@pytest.mark.parametrize(
    "entry", [fold_plain, fold_any, grouping._group_rows], ids=["plain", "any", "group_rows"]
)
def test_what_python_calls_carries_the_digest_of_the_kernel(entry):
    assert native.SOURCES in [cell.cell_contents for cell in entry.py_func.__closure__]


@pytest.mark.parametrize(
    ("first", "columns"), [(layout.H_TILES, layout.TILE_COLUMNS), (layout.H_TILES + 3, layout.KNOWN_COLUMNS)]
)
def test_a_state_with_more_parts_than_the_kernel_has_room_for_is_refused(first, columns):
    """Although its length fits its header."""
    events = events_of(long_stream(1, 1))
    ((key, state),) = fold_events(USER, events, {}).states.items()
    numbers = np.frombuffer(state).copy()
    numbers[first] += 100_000
    longer = np.concatenate([numbers, np.zeros(columns * 100_000)])
    with pytest.raises(BadState, match=r"damaged.*fraud replay rebuild-store"):
        fold_events(USER, events, {key: longer.tobytes()})


def test_the_fold_counts_references_for_its_caller_alone():
    """Each count in it is a call for every event, after which the compiler knows nothing of the memory.

    The arguments of the call are counted in and out: 12 arrays. One ``reshape`` added dozens.
    """
    fold_events(USER, events_of(long_stream(1, 1)), {})
    key = fold_plain._cache._index_key(fold_plain.signatures[0], fold_plain.targetctx.codegen())
    (_, _, (machine_code, _)), *_ = fold_plain._cache._cache_file.load(key)
    assert 0 < _calls_of(machine_code, b"NRT_incref", b"NRT_decref") < 2 * 12


def _calls_of(machine_code: bytes, *names: bytes) -> int:
    """Count where machine code refers to functions, by the relocations of its object file (ELF, 64 bits)."""
    parts = {part.name(): bytes(part.data()) for part in ObjectFileRef.from_data(machine_code).sections()}
    symbols = [
        parts[b".strtab"][first:].split(b"\0", 1)[0]
        for first, *_ in struct.iter_unpack("<IBBHQQ", parts[b".symtab"])
    ]
    relocations = [
        symbols[info >> 32]
        for name, part in parts.items()
        if name and name.startswith(b".rela")
        for _, info, _ in struct.iter_unpack("<QQq", part)
    ]
    return sum(name in names for name in relocations)
