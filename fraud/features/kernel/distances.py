"""Distances on the globe, of places in microdegrees."""

import math
from typing import Final

from fraud.features.kernel.layout import Floats
from fraud.features.kernel.native import inner, whole_or_nan

EARTH_KM: Final = 6371.0088
TURN: Final = 360e6
RADIANS: Final = math.pi / 180e6


@inner
def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance (haversine) of two places, in km."""
    if lat1 == lat2 and lon1 == lon2:
        return 0.0
    a = math.sin((lat2 - lat1) * RADIANS / 2) ** 2
    b = math.cos(lat1 * RADIANS) * math.cos(lat2 * RADIANS) * math.sin((lon2 - lon1) * RADIANS / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, a + b)))


@whole_or_nan
def mean_place(lats: Floats, lons: Floats, lon: float) -> tuple[float, float, float]:
    """Count the known places (others are NaN), and sum latitudes and turns from here, the short way round.

    What is not known adds 1, and what is known or holds 2: a sum to which only some add runs in vector
    registers only where the others add something, too.
    """
    n = float(lats.shape[0])
    known = 0.0
    lat_sum = 0.0
    lon_sum = 0.0
    east = 0.0
    west = 0.0
    for i in range(lats.shape[0]):
        is_known = lats[i] == lats[i]
        turn = lons[i] - lon
        known += 2.0 if is_known else 1.0
        lat_sum += lats[i] if is_known else 1.0
        lon_sum += lons[i] if is_known else 1.0
        east += 2.0 if turn >= TURN / 2 else 1.0
        west += 2.0 if turn < -TURN / 2 else 1.0
    count = known - n
    turn_sum = lon_sum - (n - count) - count * lon + (west - east) * TURN
    return count, lat_sum - (n - count), turn_sum
