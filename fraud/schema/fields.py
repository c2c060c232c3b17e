"""The fields of a transaction: what a schema may declare of each, beside the fixed core."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fraud.schema.kinds import KINDS, PURCHASE


class FieldType(StrEnum):
    """What a field's values are, and with it how they may be used."""

    KEY = "key"
    """An identifier: of an entity, counted as distinct, remembered."""
    CATEGORY = "category"
    """One of some words: as a key, and in buckets for the model."""
    NUMBER = "number"
    """A number with a fixed count of decimals, kept in whole units, so that its sums are exact."""
    FLAG = "flag"
    """True or false."""
    TIME = "time"
    """A moment, e.g. when the account was opened; for ages."""
    PLACE = "place"
    """Latitude and longitude, in degrees."""
    ZONE = "zone"
    """The clocks of the place: a name such as Europe/Berlin, or an offset such as +02:00."""
    TEXT = "text"
    """Archived, and read by rules; no features."""


NAMED: Final = frozenset({FieldType.KEY, FieldType.CATEGORY})
"""Types whose values are words that can be counted and remembered."""
NUMERIC: Final = frozenset({FieldType.NUMBER, FieldType.FLAG})
"""Types whose values are numbers to the features; a flag is 1 or 0."""
MOST_UNITS: Final = 1_000_000_000
"""Greatest absolute value of a number in whole units: its square is still exact."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a transaction.

    Parameters
    ----------
    name
        As in the records.
    type
        Of its values.
    required
        Whether a transaction without it is refused.
    description
        In words, for people and for the API's document.
    scale
        Decimals of a number, 0 to 6; further ones are rounded.
    longest
        Most characters of a word or a text.
    pattern
        Regular expression that a word must match as a whole; empty: any.
    columns
        Of a place: the names of its latitude and its longitude.
    personal
        Whether it is personal data.
    examples
        Values for documents and tests.
    default
        Of a zone: the clocks of a record that names none; empty: UTC.
    """

    name: str
    type: FieldType
    required: bool = False
    description: str = ""
    scale: int = 0
    longest: int = 64
    pattern: str = ""
    columns: tuple[str, ...] = ()
    personal: bool = False
    examples: tuple[str | float | bool, ...] = ()
    default: str = field(default="", repr=False)  # a schema without has its old version

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called in a record: a place has two names.

        Examples
        --------
        >>> Field("home", FieldType.PLACE).names
        ('home_latitude', 'home_longitude')
        """
        if self.type is not FieldType.PLACE:
            return (self.name,)
        return self.columns or (f"{self.name}_latitude", f"{self.name}_longitude")

    @property
    def word(self) -> str:
        """What features call it.

        Examples
        --------
        >>> Field("device_id", FieldType.KEY).word
        'device'
        """
        return self.name.removesuffix("_id")

    @property
    def sample(self) -> tuple[str | float | bool, ...]:
        """Values by name for documents and tests; empty where it is optional and has no examples."""
        if self.examples or not self.required:
            return self.examples[: len(self.names)]
        return SAMPLES[self.type]


SAMPLES: Final[dict[FieldType, tuple[str | float | bool, ...]]] = {
    FieldType.KEY: ("k-1",),
    FieldType.CATEGORY: ("a",),
    FieldType.NUMBER: (1.0,),
    FieldType.FLAG: (True,),
    FieldType.TIME: ("2026-01-01T00:00:00Z",),
    FieldType.PLACE: (52.52, 13.405),
    FieldType.ZONE: ("Europe/Berlin",),
    FieldType.TEXT: ("a text",),
}
CORE: Final = (
    Field(
        "transaction_id",
        FieldType.KEY,
        required=True,
        description="Unique for ever; a second record with the same id is a duplicate and changes nothing.",
        examples=("t-0001",),
    ),
    Field(
        "event_time",
        FieldType.TIME,
        required=True,
        description="When it happened, with an offset.",
        examples=("2026-03-01T12:00:00Z",),
    ),
    Field(
        "amount",
        FieldType.NUMBER,
        required=True,
        description="In currency units; rounded to hundredths by the features.",
        scale=2,
        examples=(129.5,),
    ),
    Field(
        "currency",
        FieldType.CATEGORY,
        description="ISO 4217.",
        pattern="[A-Z]{3}",
        examples=("EUR",),
    ),
    Field(
        "kind",
        FieldType.CATEGORY,
        description="What it is; absent: a purchase. An amount of 0 is for a verification alone.",
        pattern="|".join(KINDS),
        examples=(PURCHASE,),
    ),
)
"""Fields that every schema has."""
CORE_NAMES: Final = frozenset(field.name for field in CORE)
AMOUNT_MINOR: Final = "amount_minor"
"""Number of a transaction where the schema has ``money``: its amount in minor units of its own currency."""
BASE_MINOR: Final = "base_minor"
"""The same in minor units of the base currency; missing where the currency has no rate."""
AMOUNT_BASE: Final = "amount_base"
"""The same in units of the base currency, for filters and rules."""
CURRENCY_RATE: Final = "currency_rate"
RATE_SINCE: Final = "rate_since"
MONEY_NAMES: Final = (AMOUNT_MINOR, BASE_MINOR, CURRENCY_RATE, RATE_SINCE)
"""What is recorded beside a transaction's fields: its whole amounts, the rate, and since when that holds."""
RESERVED: Final = frozenset(
    {
        "schema_version",
        "kind",
        "topic",
        "received_at",
        "arrival_time",
        "processed_at",
        "label_time",
        "is_fraud",
        "source",
        "fraud_type",
        "reason_code",
        "disputed_amount",
        "disputed_currency",
        "reason",
        "detail",
        "key",
        "raw",
        "record",
        "event",
        "row_kind",
        "record_key",
        "traceparent",
        "scored",
        "outcome",
        "score",
        "reasons",
        "model_version",
        "is_fallback",
        "policy_version",
        "outcome_without_rules",
        "rules",
        "shadow_rules",
        "tags",
        "queue",
        "segment",
        "shadow_score",
        "shadow_version",
        "features_version",
        "generation",
        "epoch",
        "source_partition",
        "source_offset",
        "features",
        "store",
        "scored_at",
        "experiment",
        "arm",
        "amount_minor",
        "amount_base",
        "base_minor",
        "currency_rate",
        "rate_since",
    }
)
"""Names of columns that the platform writes beside the fields."""


def joined_word(fields: Sequence[Field]) -> str:
    """Name a key: the field's word, or those of several fields together.

    Examples
    --------
    >>> joined_word([Field("card", FieldType.KEY), Field("device_id", FieldType.KEY)])
    'card+device'
    """
    return "+".join(field.word for field in fields)
