"""Numbers of columns, rows and codes: what stands where in events, states, sums and slots."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAYOUT: Final = 2
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
E_USER: Final = 8  # hashes, from here on
E_MERCHANT: Final = 9
E_CATEGORY: Final = 10
E_COUNTRY: Final = 11
E_DEVICE: Final = 12
E_CHANNEL: Final = 13
EVENT_COLUMNS: Final = 14
KIND_TRANSACTION: Final = 0.0
KIND_LABEL: Final = 1.0

# --- what became of an event -------------------------------------------------------------------
NEW: Final = 0.0
DUPLICATE: Final = 2.0  # a label's outcome is by how much the known fraud changed: -1, 0 or 1

# --- header of a state -------------------------------------------------------------------------
H_LAYOUT: Final = 0
H_NEWEST: Final = 1  # greatest event time seen, microseconds
H_SEQUENCE: Final = 2  # transactions folded
H_EVENTS: Final = 3
H_TILES: Final = 4  # three counts
H_KNOWN: Final = 7  # up to four counts
HEADER: Final = 12

# --- columns of a kept event -------------------------------------------------------------------
C_TIME: Final = 0
C_CENTS: Final = 1
C_ID: Final = 2
C_FRAUD: Final = 3  # one of the three labels
C_LAT: Final = 4
C_LON: Final = 5
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
LEVELS: Final = 3
K_VALUE: Final = 0
K_SINCE: Final = 1
K_SEQUENCE: Final = 2
KNOWN_COLUMNS: Final = 3
MOST_KNOWN: Final = 4
MOST_DISTINCT: Final = 3

# --- sums over the windows: one row a sum, one column a window -----------------------------------
WINDOWS: Final = 4
S_COUNT: Final = 0
S_SUM: Final = 1
S_HIGH: Final = 2  # sum of squares = S_HIGH * 2**30 + S_LOW, both whole and below 2**53
S_LOW: Final = 3
S_MAX: Final = 4
S_FRAUD: Final = 5
S_DISTINCT: Final = 6  # and the following
S_ROWS: Final = S_DISTINCT + MOST_DISTINCT

# --- slots: where each statistic leaves its values, one row of four ------------------------------
R_PRESENT: Final = 0  # amount, hour of day, day of week, distance from home
R_LAST: Final = 1  # seconds since, distance from, speed from the last; seconds since the last known fraud
R_FIRST: Final = 2  # by remembered column
R_VELOCITY: Final = 3  # by pair of windows
R_BUCKET: Final = 4  # by event column, from the category on
R_COUNT: Final = 5  # from here on by window
R_SUM: Final = 6
R_MEAN: Final = 7
R_STD: Final = 8
R_MAX: Final = 9
R_ZSCORE: Final = 10
R_FRAUD_SHARE: Final = 11
R_DISTINCT: Final = 12  # and the following
R_HOURS: Final = R_DISTINCT + MOST_DISTINCT
R_SAME_MERCHANT: Final = R_HOURS + 1
R_SAME_AMOUNT: Final = R_HOURS + 2
R_USUAL: Final = R_HOURS + 3
R_FRAUD_RUN: Final = R_HOURS + 4
R_FIRST_FRAUD: Final = R_HOURS + 5
R_RIPE: Final = R_HOURS + 6  # by window of ripe transactions
R_ROWS: Final = R_HOURS + 7
SLOTS: Final = 4  # of a row

DAY_US: Final = 86_400_000_000.0
HOUR_US: Final = 3_600_000_000.0
MINUTE_US: Final = 60_000_000.0
SECOND_US: Final = 1_000_000.0
CENTS: Final = 100.0
LEAST_STD: Final = 0.01  # currency units: what a z-score is divided by at least
FIRST_WEEKDAY: Final = 3.0  # 1970-01-01 was a Thursday
BUCKETS: Final = 64.0
LOW_BITS: Final = 30
LOW_MASK: Final = 2**LOW_BITS - 1
LINE: Final = 8  # numbers of a cache line
