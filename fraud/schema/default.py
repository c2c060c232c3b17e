"""The packaged schema's entities and features by name, for what is told or measured of it alone."""

from typing import Final

from fraud.schema.reading import default_schema

ENTITIES: Final = default_schema().entities
USER, MERCHANT = ENTITIES
FEATURES: Final = default_schema().features
USER_FEATURES: Final = default_schema().features_of(USER)
MERCHANT_FEATURES: Final = default_schema().features_of(MERCHANT)
