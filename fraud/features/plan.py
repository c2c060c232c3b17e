"""Features compiled for the kernel: small arrays, one set an entity."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features.clocks import NO_CLOCKS, clocks, zone_number
from fraud.features.kernel import layout as kernel
from fraud.features.kernel.layout import Floats, Ints
from fraud.features.kernel.records import (
    PLAIN_DISTINCT,
    PLAIN_LEVELS,
    PLAIN_WINDOWS,
    Program,
    pack,
    parts_of,
    work_floats,
)
from fraud.features.layout import CODES, CURRENCY, DEFAULT_LAYOUT, REFUND, REFUND_MINOR, EventLayout
from fraud.features.slots import Slotted, is_plain_feature, slot_features
from fraud.schema.default import MERCHANT_FEATURES, USER, USER_FEATURES
from fraud.schema.entities import IDLE_US, WINDOWS, Entity
from fraud.schema.features import Feature
from fraud.schema.kinds import COUNTED_KINDS
from fraud.schema.windows import Tiling, tile

EVENT_COLUMN: Final = {name: DEFAULT_LAYOUT.column(name) for name in DEFAULT_LAYOUT.keys}
"""Columns of the default schema's events."""
RETENTION_US: Final = tile(WINDOWS).retention_us
"""An event this much older than its entity's newest one is forgotten, in the default windows."""
MOST_EVENTS: Final = 65_536
MOST_DISTINCT: Final = 8
MOST_KNOWN: Final = 8
MOST_KEPT: Final = 16
MOST_MEASURES: Final = 32
MOST_PROFILE: Final = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """The program of one entity, and the sizes that go with it."""

    entity: Entity
    features: tuple[Feature, ...]
    events: EventLayout
    """Of the rows that it folds."""
    layout: float
    """Identity of the state's layout: whole number below 2**53."""
    tiling: Tiling
    key_column: int
    """Column of an event that holds the entity's key."""
    kept_columns: int
    """Numbers that a state holds of each kept event."""
    tile_columns: int
    """Numbers that a state holds of each tile."""
    header: int
    """Numbers that a state begins with."""
    state_floats: int
    """Greatest length of a state, in float64."""
    event_floats: int
    """By how much one event can lengthen a state, in float64."""
    work_floats: int
    """Room that the kernel works in, in float64."""
    program: Floats
    """What the kernel runs; see ``fraud.features.kernel.records.Program``."""
    is_plain: bool
    """Whether the kernel that is compiled for the default table's shape runs it."""

    def keys_of(self, events: Floats) -> Floats:
        """Take the keys of events, [n]; 0 where they do not name the entity."""
        return self.events.keys_of(events, self.key_column, self.entity.name)

    def completes(self, events: Floats) -> bool:
        """Tell whether the fold fills something in: what labels leave out, and the bits that results set.

        Parameters
        ----------
        events
            [n, columns].
        """
        if not self.entity.deduplicates:
            return False
        if self.entity.results:
            return True
        if self.events.told_zone and np.isnan(events[:, self.events.column(self.events.zone)]).any():
            return True
        labels = events[events[:, kernel.E_KIND] == kernel.KIND_LABEL]
        keys = labels[:, [self.events.column(name) for name in self.entity.hands_on]]
        return bool((keys == kernel.NO_KEY).any() or np.isnan(labels[:, kernel.E_TIME]).any())


@cache
def compile_plan(
    entity: Entity, features: tuple[Feature, ...] | None = None, events: EventLayout = DEFAULT_LAYOUT
) -> Plan:
    """Compile the features of one entity (the primary's pass also computes those of the transaction alone).

    Parameters
    ----------
    entity
        What to keep of its events.
    features
        What to compute; all features of the default table by default. The state does not depend on it.
    events
        Which column of an event holds what.

    Raises
    ------
    BadConfig
        When the entity does not keep what a feature needs, or asks for more than the kernel holds.

    Examples
    --------
    >>> from fraud.schema.default import MERCHANT
    >>> compile_plan(MERCHANT).features[0].name
    'count_1h_by_merchant'
    """
    if features is None:
        features = USER_FEATURES if entity.name == USER.name else MERCHANT_FEATURES
    _check_bounds(entity)
    tiling = tile(entity.windows)
    program = _program_of(entity, features, events, tiling)
    n_known = _known_columns(entity)
    tile_columns = kernel.TILE_COLUMNS + kernel.MEASURE_COLUMNS * len(entity.measures)
    header = max(kernel.LEAST_HEADER, kernel.H_TILES + len(tiling.widths_us) + n_known)
    return Plan(
        entity=entity,
        features=features,
        events=events,
        layout=program.layout,
        tiling=tiling,
        key_column=events.column(entity.key_name),
        kept_columns=program.columns,
        tile_columns=tile_columns,
        header=header,
        state_floats=header
        + entity.events * program.columns
        + sum(tiling.most_tiles) * tile_columns
        + sum(program.known_capacities.tolist()) * kernel.KNOWN_COLUMNS,
        event_floats=program.columns
        + len(tiling.widths_us) * tile_columns
        + (n_known + len(program.profile_sizes)) * kernel.KNOWN_COLUMNS,
        work_floats=work_floats(program),
        program=pack(program),
        is_plain=program.is_plain,
    )


def _known_columns(entity: Entity) -> int:
    """Columns of remembered values.

    Also the profile, and of the primary the ids of what it does not keep, or waits for.
    """
    of_ids = entity.deduplicates * (1 + entity.results + entity.refunds)
    return len(entity.known) + bool(entity.profile) + of_ids


def _check_bounds(entity: Entity) -> None:
    asked = (
        ("events", entity.events, MOST_EVENTS),
        ("columns of distinct values", len(entity.distinct), MOST_DISTINCT),
        ("columns of remembered values", len(entity.known), MOST_KNOWN),
        ("further keys and categories", len(entity.kept), MOST_KEPT),
        ("numbers", len(entity.all_numbers), MOST_KEPT),
        ("measures", len(entity.measures), MOST_MEASURES),
        ("fields of a profile", len(entity.profile), MOST_PROFILE),
    )
    for what, number, most in asked:
        if number > most:
            raise BadConfig(f"the {entity.name} keeps {number} {what}; at most {most} are possible")
    if entity.events < 1:
        raise BadConfig(f"the {entity.name} keeps {entity.events} events; at least 1 is needed")
    for names in (entity.all_columns, entity.measures):
        if len(set(names)) != len(names):
            raise BadConfig(f"the {entity.name} keeps something twice: {', '.join(map(str, names))}")


def _program_of(
    entity: Entity, features: tuple[Feature, ...], events: EventLayout, tiling: Tiling
) -> Program:
    is_plain = _is_plain(entity, features, tiling)
    n_windows = PLAIN_WINDOWS if is_plain else len(tiling.levels)
    n_distinct = PLAIN_DISTINCT if is_plain else len(entity.distinct)
    copied_names = (*entity.kept, *entity.all_numbers, *([entity.zone] if entity.zone else []))
    copies = [events.column(name) for name in copied_names]
    copies += [kernel.E_KIND] if entity.keeps_kind else []
    n_copies, (refund, currency, minor) = len(copies), _refunds_of(entity, events)
    copies += [currency, minor, refund] if currency >= 0 else []
    filters = [events.bit(name) for name in entity.all_filters]
    key = kernel.C_LAT + 2 * entity.places
    copied = key + 2 * len(entity.distinct)
    slotted = slot_features(entity, features, events, key, copied)
    known_columns = [events.column(name) for name, _ in entity.known]
    known_capacities = [capacity for _, capacity in entity.known]
    profile_sizes = _sizes_of(entity)
    zone = _entry_of_zone(entity, events)
    zones = clocks() if zone >= 0 else NO_CLOCKS
    if entity.profile:
        known_columns.append(kernel.E_ID)  # of no meaning: its values come otherwise
        known_capacities.append(len(profile_sizes))
    if entity.deduplicates:
        of_ids = [kernel.REFUNDS] * entity.refunds + [kernel.PENDING] * entity.results + [kernel.RECOGNISED]
        known_columns += [kernel.E_ID] * len(of_ids)
        known_capacities += of_ids
    parts = parts_of(
        n_windows,
        len(entity.distinct),
        len(entity.measures),
        len(entity.known),
        len(slotted.pairs),
        len(slotted.buckets),
        len(slotted.ripe),
        len(slotted.singles),
    )
    return Program(
        events=entity.events,
        key=key,
        columns=copied + len(copies) + bool(filters),
        has_places=entity.places,
        deduplicates=entity.deduplicates,
        layout=_identity_of(entity, events, tiling),
        retention_us=float(tiling.retention_us),
        idle_us=float(IDLE_US),
        minor_units=events.minor_units,
        needs_last_place=slotted.needs_last_place,
        needs_home=slotted.needs_home,
        most_tiles=max(tiling.most_tiles),
        most_values=max(known_capacities, default=0),
        copied=copied,
        mask=events.mask if filters else -1,
        offset=events.column(events.zone) if events.zone else -1,
        kept_offset=copied + len(copied_names) - 1 if entity.zone else -1,
        kept_kind=copied + n_copies - 1 if entity.keeps_kind else -1,
        kinds=sum(1 << CODES[kind] for kind in entity.kinds),
        told=events.mask if entity.results else -1,
        result_bits=sum(1 << events.bit(name) for name in events.of_results),
        uncount=sum(1 << events.bit(name) for name in entity.uncounts),
        profile=len(entity.known) if entity.profile else -1,
        profile_column=events.profile,
        refund=refund,
        refunds=len(known_columns) - 3 if entity.refunds and entity.deduplicates else -1,
        currency=currency,
        minor=minor,
        kept_currency=copied + n_copies,
        kept_minor=copied + n_copies + 1,
        kept_paid=copied + n_copies + 2,
        zone=zone,
        clock=zone_number(events.clock) if events.clock else np.nan,
        is_plain=is_plain,
        n_windows=n_windows,
        n_levels=len(tiling.widths_us),
        n_measures=len(entity.measures),
        sum_rows=kernel.S_DISTINCT + n_distinct,
        windows=np.array(_fill(tiling.lengths_us, n_windows), np.float64),
        levels=_whole(_fill(tiling.levels, n_windows)),
        widths=_whole(tiling.widths_us),
        reaches=np.array(tiling.reaches_us, np.float64),
        distinct=_whole([events.column(name) for name in entity.distinct]),
        known_columns=_whole(known_columns),
        known_capacities=_whole(known_capacities),
        pairs=_whole(slotted.pairs).reshape(-1, 2),
        buckets=_whole(slotted.buckets),
        ripe=np.array(slotted.ripe, np.float64).reshape(-1, 2),
        copies=_whole(copies),
        filters=_whole(filters),
        measures=_whole(slotted.measures).reshape(-1, 3),
        measure_units=np.array([events.unit(value) for value, _ in entity.measures], np.float64),
        singles=_whole(slotted.singles).reshape(-1, kernel.SINGLE_COLUMNS),
        single_units=np.array(slotted.single_units, np.float64),
        parts=_whole(parts),
        sources=_sources_of(slotted, parts, n_windows),
        hands_on=_whole(
            [
                (
                    key + entity.distinct.index(name)
                    if name in entity.distinct
                    else copied + entity.kept.index(name),
                    events.column(name),
                )
                for name in entity.hands_on
            ]
        ).reshape(-1, 2),
        tells=_whole(
            [
                (copied + len(entity.kept) + entity.all_numbers.index(name), events.column(name))
                for name in entity.tells
            ]
        ).reshape(-1, 2),
        profile_sizes=_whole(profile_sizes),
        zones=zones.flat,
    )


def _refunds_of(entity: Entity, events: EventLayout) -> tuple[int, int, int]:
    """Columns of an event: what a refund pays back, and, for the primary alone, currency and own amount."""
    if not entity.refunds:
        return -1, -1, -1
    if not (entity.deduplicates and events.in_several):
        return events.column(REFUND), -1, -1
    return events.column(REFUND), events.column(CURRENCY), events.column(REFUND_MINOR)


def _sizes_of(entity: Entity) -> list[int]:
    """By entry of its profile: how many its field has, from here on; the first entry is of no field."""
    sizes = [size for field in entity.profile for size in range(len(field.names), 0, -1)]
    return [0, *sizes] if sizes else []


def _entry_of_zone(entity: Entity, events: EventLayout) -> int:
    """Find the entry of the primary's profile that tells the zone; -1: none does."""
    if not (entity.deduplicates and events.told_zone):
        return -1
    names = [name for field in entity.profile for name in field.names]
    return 1 + names.index(events.told_zone)


def _is_plain(entity: Entity, features: tuple[Feature, ...], tiling: Tiling) -> bool:
    """Tell whether the plain kernel can run it."""
    return (
        len(tiling.levels) <= PLAIN_WINDOWS
        and len(tiling.widths_us) == PLAIN_LEVELS
        and len(entity.distinct) <= PLAIN_DISTINCT
        and not (entity.kept or entity.all_numbers or entity.all_filters or entity.measures)
        and not (entity.zone or entity.keeps_kind or entity.results or entity.profile)
        and all(is_plain_feature(feature) for feature in features)
    )


def _fill(values: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Repeat the last window, where the kernel is compiled for more."""
    return values + values[-1:] * (length - len(values))


def _sources_of(slotted: Slotted, parts: list[int], n_windows: int) -> Ints:
    begins = [0, *parts[:-1]]
    return _whole(
        [begins[part] + row * (n_windows if part == 1 else 1) + at for part, row, at in slotted.slots]
    )


def _whole(numbers: Sequence[object]) -> Ints:
    return np.array(numbers, np.int64)


def _identity_of(entity: Entity, events: EventLayout, tiling: Tiling) -> float:
    """Digest what a state holds: two plans with the same identity read each other's states.

    Columns and bits of events are not in it: a schema may give a field another place.
    """
    texts = dict(events.filters)
    words: tuple[tuple[object, ...], ...] = (
        ("layout", kernel.LAYOUT),
        ("entity", entity.name, entity.deduplicates),
        ("events", entity.events, entity.places),
        ("distinct", entity.distinct),
        ("known", entity.known),
        ("kept", entity.kept),
        ("numbers", tuple((name, events.unit(name)) for name in entity.all_numbers)),
        ("filters", tuple((name, texts[name]) for name in entity.all_filters)),
        ("measures", entity.measures),
        ("amount", events.minor_units),
        ("windows", tiling.lengths_us, tiling.levels),
        ("tiles", tiling.widths_us, tiling.reaches_us),
        ("forgets", tiling.retention_us, IDLE_US),
    )
    header = kernel.H_TILES + len(tiling.widths_us) + _known_columns(entity)
    if entity.deduplicates and header > kernel.LEAST_HEADER:
        words += (("header", header),)
    if entity.keeps_kind:
        words += (("kind", entity.keeps_kind),)
    if entity.zone:
        words += (("zone", entity.zone, *([events.clock] if events.clock else [])),)
        words += (("zone of the profile", events.told_zone),) if events.told_zone else ()
    if entity.kinds != COUNTED_KINDS:
        words += (("kinds", entity.kinds),)
    if entity.results:
        words += (("results", entity.uncounts, entity.tells),)
    if entity.refunds and entity.deduplicates:
        words += (("refunds", events.in_several),)
    if entity.profile:
        words += (("profile", tuple((one.name, one.type.value, one.scale) for one in entity.profile)),)
    if entity.sides:
        words += (("sides", entity.sides),)
    return float(int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8]) >> 11)
