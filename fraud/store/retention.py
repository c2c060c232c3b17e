"""When an idle entity may be forgotten without any feature showing it."""

from typing import Final

from fraud.features.plan import RETENTION_US
from fraud.schema.entities import IDLE_US, Entity
from fraud.schema.windows import tile

_DAY_US: Final = 86_400e6
EXACT_AFTER_DAYS: Final = (IDLE_US + RETENTION_US) / _DAY_US
"""Days (212), in the default windows. The fold starts an entity again after ``IDLE_US`` of silence, so that
forgetting it then changes nothing; ``RETENTION_US`` more (32 days) for transactions that come late."""


def exact_after_days(entity: Entity) -> float:
    """Tell after how many days of silence an entity can be forgotten: the longer its windows, the later.

    Examples
    --------
    >>> from fraud.schema.default import USER
    >>> exact_after_days(USER) == EXACT_AFTER_DAYS
    True
    """
    return (IDLE_US + tile(entity.windows).retention_us) / _DAY_US


def expire_before_us(newest_us: float, now_us: float, days: float = EXACT_AFTER_DAYS) -> float:
    """Tell before which event time an entity's newest event must lie for it to be forgotten.

    Parameters
    ----------
    newest_us
        Newest event time seen, microseconds: history that is replayed goes by its own time.
    now_us
        The clock, microseconds: one wrong event time in the future must not make all entities idle.
    days
        Of silence.

    Examples
    --------
    >>> expire_before_us(230 * 86_400e6, 300 * 86_400e6) / 86_400e6
    18.0
    """
    return min(newest_us, now_us) - days * _DAY_US
