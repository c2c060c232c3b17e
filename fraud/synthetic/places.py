"""The map and the trades of the synthetic world: cities, currencies and merchant categories."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_KM: Final = 6371.0


class City(NamedTuple):
    """A city: its country (ISO 3166 alpha-2), place in degrees, hours ahead of UTC and relative size."""

    name: str
    country: str
    latitude: float
    longitude: float
    utc_offset_h: float
    weight: float


class Category(NamedTuple):
    """A trade: median amount, its spread (sigma of the logarithm), popularity, online share and risk."""

    name: str
    median_amount: float
    amount_sigma: float
    popularity: float
    online_share: float
    risk: float


# Far-apart cities come first: a small world keeps the first few.
CITIES: Final = (
    City("London", "GB", 51.51, -0.13, 0, 9),
    City("New York", "US", 40.71, -74.01, -5, 9),
    City("Berlin", "DE", 52.52, 13.40, 1, 7),
    City("Madrid", "ES", 40.42, -3.70, 1, 6),
    City("Sydney", "AU", -33.87, 151.21, 10, 4),
    City("Paris", "FR", 48.86, 2.35, 1, 8),
    City("Toronto", "CA", 43.65, -79.38, -5, 4),
    City("Zurich", "CH", 47.38, 8.54, 1, 2),
    City("Chicago", "US", 41.88, -87.63, -6, 5),
    City("Milan", "IT", 45.46, 9.19, 1, 5),
    City("Amsterdam", "NL", 52.37, 4.90, 1, 4),
    City("Los Angeles", "US", 34.05, -118.24, -8, 6),
    City("Lisbon", "PT", 38.72, -9.14, 0, 3),
    City("Vienna", "AT", 48.21, 16.37, 1, 3),
    City("Dublin", "IE", 53.35, -6.26, 0, 3),
    City("Munich", "DE", 48.14, 11.58, 1, 4),
    City("Barcelona", "ES", 41.39, 2.17, 1, 4),
    City("Lyon", "FR", 45.76, 4.84, 1, 3),
    City("Manchester", "GB", 53.48, -2.24, 0, 4),
    City("Rome", "IT", 41.90, 12.50, 1, 4),
    City("Houston", "US", 29.76, -95.37, -6, 4),
    City("Hamburg", "DE", 53.55, 9.99, 1, 3),
    City("Marseille", "FR", 43.30, 5.37, 1, 3),
    City("Birmingham", "GB", 52.48, -1.90, 0, 3),
    City("Vancouver", "CA", 49.28, -123.12, -8, 2),
    City("Melbourne", "AU", -37.81, 144.96, 10, 3),
    City("Brussels", "BE", 50.85, 4.35, 1, 3),
    City("Cologne", "DE", 50.94, 6.96, 1, 3),
    City("Valencia", "ES", 39.47, -0.38, 1, 2),
    City("Naples", "IT", 40.85, 14.27, 1, 3),
    City("Miami", "US", 25.76, -80.19, -5, 3),
    City("Geneva", "CH", 46.20, 6.14, 1, 1),
    City("Porto", "PT", 41.15, -8.61, 0, 2),
    City("Rotterdam", "NL", 51.92, 4.48, 1, 2),
    City("Glasgow", "GB", 55.86, -4.25, 0, 2),
    City("Seattle", "US", 47.61, -122.33, -8, 3),
)

ZONES: Final = {
    one.country: f"{int(one.utc_offset_h):+03d}:{round(60 * abs(one.utc_offset_h)) % 60:02d}"
    for one in CITIES
}
"""Country: how far its clocks are ahead of UTC."""
CURRENCIES: Final = {"GB": "GBP", "US": "USD", "AU": "AUD", "CA": "CAD", "CH": "CHF"}
"""Country: the currency its cardholders are billed in; all others pay in euros."""

CATEGORIES: Final = (
    Category("grocery", 30.0, 0.65, 9.0, 0.06, 0.3),
    Category("restaurant", 24.0, 0.60, 7.0, 0.05, 0.3),
    Category("transport", 7.0, 0.75, 5.0, 0.30, 0.4),
    Category("fuel", 46.0, 0.40, 3.5, 0.0, 0.6),
    Category("pharmacy", 17.0, 0.70, 2.5, 0.15, 0.3),
    Category("fashion", 52.0, 0.75, 3.0, 0.50, 0.9),
    Category("electronics", 95.0, 1.00, 1.6, 0.60, 1.8),
    Category("home_garden", 55.0, 0.90, 1.8, 0.40, 0.6),
    Category("entertainment", 19.0, 0.80, 2.6, 0.55, 0.7),
    Category("travel", 160.0, 0.95, 1.2, 0.75, 1.2),
    Category("digital_goods", 8.0, 0.85, 3.0, 1.0, 1.5),
    Category("gaming", 10.0, 0.95, 1.8, 1.0, 1.5),
    Category("gift_cards", 40.0, 0.70, 0.8, 0.65, 1.9),
    Category("jewelry", 120.0, 0.95, 0.6, 0.35, 1.6),
)


def distance_km(
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    other_latitude: NDArray[np.float64],
    other_longitude: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the great-circle distance in km between places in degrees (haversine formula)."""
    phi, other_phi = np.radians(latitude), np.radians(other_latitude)
    half_dphi = (other_phi - phi) / 2
    half_dlambda = np.radians(other_longitude - longitude) / 2
    chord = np.sin(half_dphi) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin(half_dlambda) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0))))
