"""What an entity must keep of its events, so that its features can be computed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from fraud.schema.features import WINDOWS, Entity, Feature, Op
from fraud.schema.windows import window_us

_MEASURED: Final = (
    Op.COUNT,
    Op.SUM,
    Op.MEAN,
    Op.STD,
    Op.MAX,
    Op.MIN,
    Op.ZSCORE,
    Op.SHARE,
    Op.VELOCITY,
    Op.TREND,
)
"""What is read from sums by number and filter."""
_OF_KEPT: Final = (Op.LAST, Op.PERCENTILE)
"""What is read from the numbers of the kept events."""
_REPEATED: Final = (Op.SAME, Op.IS_LAST, Op.IS_USUAL)
"""What is read from the keys and categories of the kept events."""


def keep_for(entity: Entity, features: Sequence[Feature]) -> Entity:
    """Complete an entity with the windows, numbers, filters and measures that features read.

    Parameters
    ----------
    entity
        As declared; what it keeps already stays first, and its windows are replaced.
    features
        Of this entity.

    Examples
    --------
    >>> card = Entity("card", 64, (), ())
    >>> kept = keep_for(card, [Feature("mean", card, "30m", value="items", where="online")])
    >>> kept.windows, kept.measures
    (('30m',), (('items', 'online'),))
    """
    of_kept = [f for f in features if f.kind.op in _OF_KEPT]
    columns = [f.column for f in features if f.kind.op in _REPEATED]
    return replace(
        entity,
        windows=_windows(features) or WINDOWS,
        kept=_joined(entity.kept, (column for column in columns if column not in entity.distinct)),
        numbers=_joined(entity.numbers, (f.value for f in of_kept if f.value)),
        filters=_joined(entity.filters, (f.where for f in of_kept if f.where)),
        measures=tuple(
            dict.fromkeys([*entity.measures, *(_measure(f) for f in features if _is_measured(f))])
        ),
    )


def _windows(features: Sequence[Feature]) -> tuple[str, ...]:
    """Windows by length; an end of a window of ripe transactions only where no other is as long."""
    plain = [f for f in features if f.kind.op is not Op.RIPE_FRAUD_SHARE]
    names = {name for f in plain for name in (f.window, f.base) if name}
    far = max((f.window for f in features if f not in plain), key=window_us, default="")
    if far and window_us(far) > max(map(window_us, names), default=0):
        names.add(far)
    by_length = {window_us(name): name for name in sorted(names)}
    return tuple(by_length[length] for length in sorted(by_length))


def _is_measured(feature: Feature) -> bool:
    """Tell whether it reads other sums than those of the amounts of all events, which are always kept."""
    op = feature.kind.op
    return op is Op.MIN or (op in _MEASURED and bool(feature.value or feature.where))


def _measure(feature: Feature) -> tuple[str, str]:
    return feature.value, feature.where


def _joined(first: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *more]))
