"""The fold: one numba kernel that takes an entity's state over its events and writes their vectors.

It runs a program (numbers made from the feature table by ``fraud.features.plan``) over flat float64
states. Amounts are whole hundredths, places whole microdegrees and times whole microseconds, so that sums
are exact and do not depend on their order: windows are kept up by adding what enters and subtracting what
leaves, reductions may run in vector registers of any width, and every caller on every machine gets the
same bits.

Read ``fold`` first (the loop over the events, and what always holds between two of them), then
``records`` (what the arrays mean), ``state`` (load, store, labels), ``results``, ``profiles``, ``keep``
(insert, evict, remember),
``windows`` and ``tiles`` (the sums), ``vector`` (the statistics). ``layout`` numbers the columns.
"""

from fraud.features.kernel.layout import (
    DUPLICATE,
    E_CATEGORY,
    E_CENTS,
    E_CHANGE,
    E_CHANNEL,
    E_CLEAR,
    E_COUNTRY,
    E_DEVICE,
    E_HOME_LAT,
    E_HOME_LON,
    E_ID,
    E_KIND,
    E_LAT,
    E_LON,
    E_MERCHANT,
    E_OF,
    E_SET,
    E_TIME,
    E_TOLD_AT,
    E_USER,
    EVENT_COLUMNS,
    KIND_LABEL,
    KIND_PROFILE,
    KIND_RESULT,
    KIND_TRANSACTION,
    NEW,
    NO_KEY,
    NO_ROOM,
    NOT_KEPT,
    OTHER_CURRENCY,
    PENDING,
    Floats,
    Ints,
)

__all__ = [
    "DUPLICATE",
    "EVENT_COLUMNS",
    "E_CATEGORY",
    "E_CENTS",
    "E_CHANGE",
    "E_CHANNEL",
    "E_CLEAR",
    "E_COUNTRY",
    "E_DEVICE",
    "E_HOME_LAT",
    "E_HOME_LON",
    "E_ID",
    "E_KIND",
    "E_LAT",
    "E_LON",
    "E_MERCHANT",
    "E_OF",
    "E_SET",
    "E_TIME",
    "E_TOLD_AT",
    "E_USER",
    "KIND_LABEL",
    "KIND_PROFILE",
    "KIND_RESULT",
    "KIND_TRANSACTION",
    "NEW",
    "NOT_KEPT",
    "NO_KEY",
    "NO_ROOM",
    "OTHER_CURRENCY",
    "PENDING",
    "Floats",
    "Ints",
]
