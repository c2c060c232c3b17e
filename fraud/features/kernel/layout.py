"""Numbers of columns, rows and codes: what stands where in events, states, sums and slots."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAYOUT: Final = 3
"""Raise it with any change to what a state holds that the plan does not show."""

# --- columns of an event -----------------------------------------------------------------------
E_KIND: Final = 0
E_TIME: Final = 1  # microseconds
E_CENTS: Final = 2
E_LABEL: Final = E_CENTS  # of a label: 1 is fraud; in the merchant pass its change, see LABEL_FRAUD
E_ID: Final = 3
E_LAT: Final = 4  # microdegrees
E_LON: Final = 5
E_HOME_LAT: Final = 6
E_HOME_LON: Final = 7
E_SET: Final = E_LAT  # of a result: bits of the filters that hold of its transaction from now on
E_CLEAR: Final = E_LON  # and that hold no more
E_WAS_FRAUD: Final = E_HOME_LAT  # completed by the primary: whether the transaction is known to be fraud
E_TOLD_AT: Final = E_HOME_LON  # when it became known, microseconds; of a profile: when it arrived
E_CHANGE: Final = E_TOLD_AT  # in its place, as the other entities see it: the primary's outcome
E_OF: Final = E_CENTS  # of a profile: the entity that it speaks of, by its number in the layout
PREFIX: Final = 8
"""Columns that every event has; those of its schema follow, see ``fraud.features.layout``."""
E_USER: Final = 8  # of the default schema alone: hashes, from here on
E_MERCHANT: Final = 9
E_CATEGORY: Final = 10
E_COUNTRY: Final = 11
E_DEVICE: Final = 12
E_CHANNEL: Final = 13
EVENT_COLUMNS: Final = 14
KIND_TRANSACTION: Final = 0.0
KIND_LABEL: Final = 1.0
KIND_RESULT: Final = -1.0  # with labels, what speaks of an earlier transaction
KIND_PROFILE: Final = -2.0  # speaks of an entity; with the other two: the notices, which are no transactions
FIRST_KIND: Final = 2  # further kinds of transactions have the numbers from here on
RECOGNISED: Final = 64  # ids of transactions that the primary has looked at and not kept
REFUNDS: Final = 64  # refunds with an amount that a primary remembers
PENDING: Final = 64  # transactions that results speak of and that have not come yet, of a primary
NO_KEY: Final = 0.0  # in a key's column

# --- what became of an event -------------------------------------------------------------------
NEW: Final = 0.0
DUPLICATE: Final = 2.0  # a label's outcome is by how much the known fraud changed: -1, 0 or 1
COUNTED_BY_ALL: Final = -1.0  # outcome of a result; where the primary keeps kinds: kind + 1
NO_ROOM: Final = -2.0  # of a result: its transaction has not come, and ``PENDING`` others wait already
NOT_KEPT: Final = -3.0  # of a result: its transaction is older than those that the primary keeps one by one
OTHER_CURRENCY: Final = -4.0  # of a refund: its transaction is in another one

# --- header of a state: after the counts of tiles by level come those of remembered values by column ---
H_LAYOUT: Final = 0
H_NEWEST: Final = 1  # greatest event time seen, microseconds
H_SEQUENCE: Final = 2  # transactions folded
H_EVENTS: Final = 3
H_TILES: Final = 4
LEAST_HEADER: Final = 12

# --- columns of a kept event -------------------------------------------------------------------
C_TIME: Final = 0
C_CENTS: Final = 1
C_ID: Final = 2
C_FRAUD: Final = 3  # one of the three labels
C_LAT: Final = 4
C_LON: Final = 5
PLAIN_COLUMNS: Final = 4  # of a kept event without places
LABEL_NONE: Final = 0.0
LABEL_GENUINE: Final = 1.0
LABEL_FRAUD: Final = 2.0

# --- columns of a tile and of a remembered value -----------------------------------------------
T_NUMBER: Final = 0
T_COUNT: Final = 1
T_SUM: Final = 2
T_HIGH: Final = 3  # squares, see S_HIGH
T_LOW: Final = 4
T_MAX: Final = 5
T_FRAUD: Final = 6
TILE_COLUMNS: Final = 7
K_VALUE: Final = 0
K_SINCE: Final = 1
K_SEQUENCE: Final = 2
KNOWN_COLUMNS: Final = 3

# --- columns of a measure: sums by value and filter, in tiles after the others' and over the windows ---
M_COUNT: Final = 0
M_SUM: Final = 1
M_HIGH: Final = 2
M_LOW: Final = 3
M_MAX: Final = 4
M_MIN: Final = 5
MEASURE_COLUMNS: Final = 6
M_MEAN: Final = 2  # rows of a measure's statistics; M_COUNT, M_SUM, M_MAX and M_MIN stand as above
M_STD: Final = 3
M_ZSCORE: Final = 6
M_SHARE: Final = 7
M_ROWS: Final = 8

# --- sums over the windows: one row a sum, one column a window -----------------------------------
S_COUNT: Final = 0
S_SUM: Final = 1
S_HIGH: Final = 2  # sum of squares = S_HIGH * 2**30 + S_LOW, both whole and below 2**53
S_LOW: Final = 3
S_MAX: Final = 4
S_FRAUD: Final = 5
S_DISTINCT: Final = 6  # and the following, one a distinct column

# --- slots: where each statistic leaves its value, see ``records.Slots`` -------------------------
P_AMOUNT: Final = 0  # of the transaction alone, and of the latest one
P_HOUR: Final = 1
P_WEEKDAY: Final = 2
P_FROM_HOME: Final = 3
P_SINCE_LAST: Final = 4
P_FROM_LAST: Final = 5
P_SPEED: Final = 6
P_SINCE_FRAUD: Final = 7
PRESENT: Final = 8
W_COUNT: Final = 0  # rows of the statistics by window
W_SUM: Final = 1
W_MEAN: Final = 2
W_STD: Final = 3
W_MAX: Final = 4
W_ZSCORE: Final = 5
W_FRAUD_SHARE: Final = 6
W_FRAUD_RUN: Final = 7
W_FIRST_FRAUD: Final = 8
W_DISTINCT: Final = 9  # and the following, one a distinct column; then ``M_ROWS`` a measure

# --- statistics that are computed one at a time: operation and arguments -------------------------
SINGLE_COLUMNS: Final = 6
A_OP: Final = 0
A_WINDOW: Final = 1
A_KEPT: Final = 2  # column of a kept event, or entry of a profile
A_EVENT: Final = 3  # column of an event
A_FILTER: Final = 4  # bit of a kept event's filters, or -1
A_NUMBER: Final = 5  # per cent, a measure, the base window, or a time in microseconds
X_HOURS: Final = 0
X_SAME_AMOUNT: Final = 1
X_USUAL_PLACE: Final = 2
X_SAME: Final = 3
X_DEVIATIONS: Final = 4
X_FRAUD_STREAK: Final = 5
X_SINCE_STREAK: Final = 6
X_SINCE_HONEST: Final = 7
X_PLAIN: Final = X_SINCE_HONEST  # the last that the kernel of the default table's shape computes
X_LAST: Final = 8
X_PERCENTILE: Final = 9
X_IS_LAST: Final = 10
X_IS_USUAL: Final = 11
X_NUMBER: Final = 12
X_AGE: Final = 13
X_VELOCITY: Final = 14
X_TREND: Final = 15
X_SINCE_LAST: Final = 16  # of the kept events that fulfil a filter
X_PROFILE_VALUE: Final = 17  # and the following, of an entity's profile
X_PROFILE_BUCKET: Final = 18
X_PROFILE_AGE: Final = 19
X_PROFILE_SINCE: Final = 20
X_PROFILE_CHANGED: Final = 21
X_PROFILE_SAME: Final = 22
X_PROFILE_SHARE: Final = 23
X_PROFILE_DISTANCE: Final = 24
X_PROFILE_IS: Final = 25

DAY_US: Final = 86_400_000_000.0
HOUR_US: Final = 3_600_000_000.0
MINUTE_US: Final = 60_000_000.0
SECOND_US: Final = 1_000_000.0
FIRST_WEEKDAY: Final = 3.0  # 1970-01-01 was a Thursday
BUCKETS: Final = 64.0
DEVIATION: Final = 3  # times the mean from which an amount deviates
LOW_BITS: Final = 30
LOW_MASK: Final = 2**LOW_BITS - 1
LINE: Final = 8  # numbers of a cache line
