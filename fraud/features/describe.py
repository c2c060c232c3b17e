"""The feature table for people and programs: records, one feature in words, the reference in Markdown."""

import math
from dataclasses import asdict, dataclass
from typing import Final

from fraud.errors import BadInput
from fraud.features.passes import EntityPass, passes_of_schema
from fraud.schema.entities import IDLE_US
from fraud.schema.features import Feature
from fraud.schema.operations import Op
from fraud.schema.schema import Schema
from fraud.schema.statistics import Family
from fraud.schema.windows import LATENESS_US
from fraud.settings.names import suggest

HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Description:
    """What is to be said of one feature."""

    name: str
    family: str
    entity: str
    """Name, of two sides as the one whose history it is; empty: of the transaction alone."""
    window: str
    """Windows it reads, each (t - length, t], or the bounds of one that ends earlier; empty: none."""
    formula: str
    unit: str
    default: str
    """Value for an entity without history."""
    missing: str
    """Meaning of a missing value."""
    exactness: str
    """What holds beyond the transactions that are kept one by one."""


def describe(feature: Feature) -> Description:
    """Put one feature in words.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> describe(find_feature("amount_mean_24h_by_user", default_schema())).missing
    'no transaction of the user in the window'
    """
    return Description(
        name=feature.name,
        family=feature.family.value,
        entity=feature.whose,
        window=_windows_of(feature),
        formula=feature.description,
        unit=feature.unit,
        default=_default_of(feature),
        missing=feature.missing or "never missing",
        exactness=feature.exactness,
    )


def find_feature(name: str, schema: Schema) -> Feature:
    """Look a feature of a schema up.

    Raises
    ------
    BadInput
        When there is none of that name; names the nearest ones.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> find_feature("amount_mean_24h_by_users", default_schema())
    Traceback (most recent call last):
    ...
    fraud.errors.BadInput: no feature 'amount_mean_24h_by_users'; did you mean amount_mean_24h_by_user?
    """
    names = schema.feature_names
    if name in names:
        return schema.features[names.index(name)]
    raise BadInput(f"no feature {name!r}; {suggest(name, names, '`fraud features list` names them all')}")


def of_family(family: str | None, schema: Schema) -> list[Feature]:
    """Select the features of one family of a schema, or all.

    Raises
    ------
    BadInput
        When there is no such family; names those that there are.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> [feature.name for feature in of_family("velocity", default_schema())][0]
    'velocity_1h_7d_by_user'
    """
    if family is None:
        return list(schema.features)
    if family not in set(Family):
        raise BadInput(f"no family {family!r}; {suggest(family, Family)}")
    return [feature for feature in schema.features if feature.family == family]


def as_records(features: list[Feature]) -> list[dict[str, str]]:
    """Describe features as plain records, for JSON."""
    return [asdict(describe(feature)) for feature in features]


def as_markdown(schema: Schema) -> str:
    """Write the reference of all features of a schema, by family."""
    parts = [_HEAD.format(version=schema.features_version, count=len(schema.features), **_bounds(schema))]
    for family in Family:
        members = of_family(family, schema)
        if not members:
            continue
        parts.append(f"\n## {family.value}\n\n{_TABLE_HEAD}")
        parts.extend(_row(describe(feature)) for feature in members)
    return "\n".join(parts) + "\n"


_HEAD: Final = """\
# Features

<!-- Written by `fraud features docs`; a test holds it to the schema. -->

Table version `{version}`: {count} features, in the vector's order by `fraud features list`.

- A window is (t - length, t]: open at its far end, closed at the transaction's own time t, to the
  microsecond. It contains the transactions of the entity that arrived before this one, and never this one. A
  share of ripe transactions leaves out the last 7d: (t - length, t - 7d].
- Lateness: a transaction up to {lateness_h} h older than the newest of its entity sees complete windows.
- An entity without a transaction for more than {idle_d} days starts again without history.
- A state's size is bounded, whatever the entity's volume ({states}). The latest transactions are kept one by
  one; older ones are summed in tiles. If a window begins among the tiles, its far end moves back to the
  beginning of a tile, by less than the tile's length. A transaction that is older than all that are kept one
  by one sees the tiles that ended by its own time. "Bound" says what this means for each feature. Stream,
  service and batch compute the same bits in each case."""

_TABLE_HEAD: Final = """\
| Name | Formula | Unit | Default | Missing means | Bound |
|---|---|---|---|---|---|"""


def _row(of: Description) -> str:
    cells = (f"`{of.name}`", of.formula, of.unit, of.default, of.missing, of.exactness)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _bounds(schema: Schema) -> dict[str, object]:
    return {
        "lateness_h": LATENESS_US // HOUR_US,
        "idle_d": IDLE_US // (24 * HOUR_US),
        "states": "; ".join(map(_state_of, passes_of_schema(schema))),
    }


def _state_of(one: EntityPass) -> str:
    most_kb = math.ceil(one.plan.state_floats * 8 / 1000)
    return f"{one.name}, {one.entity.events} transactions one by one, {most_kb} kB"


def _windows_of(feature: Feature) -> str:
    if feature.kind.op is Op.RIPE_FRAUD_SHARE:
        return f"(t - {feature.window}, t - {feature.base}]"
    return ", ".join(window for window in (feature.window, feature.base) if window)


def _default_of(feature: Feature) -> str:
    if feature.entity is None:
        return "none: computed from the transaction"
    return "missing" if math.isnan(feature.default) else f"{feature.default:g}"
