"""The fields of a transaction: what a schema may declare of each, beside the fixed core."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    TEXT = "text"
    """Archived, and read by rules; no features."""


NAMED: Final = frozenset({FieldType.KEY, FieldType.CATEGORY})
"""Types whose values are words that can be counted and remembered."""
COUNTED: Final = frozenset({FieldType.NUMBER, FieldType.FLAG})
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
        return _SAMPLES[self.type]


_SAMPLES: Final[dict[FieldType, tuple[str | float | bool, ...]]] = {
    FieldType.KEY: ("k-1",),
    FieldType.CATEGORY: ("a",),
    FieldType.NUMBER: (1.0,),
    FieldType.FLAG: (True,),
    FieldType.TIME: ("2026-01-01T00:00:00Z",),
    FieldType.PLACE: (52.52, 13.405),
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
)
"""Fields that every schema has."""
CORE_NAMES: Final = frozenset(field.name for field in CORE)
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
        "reason",
        "detail",
        "key",
        "raw",
        "record",
        "event",
        "outcome",
        "score",
        "reasons",
        "generation",
        "epoch",
        "source_partition",
        "source_offset",
        "features",
        "store",
        "scored_at",
        "experiment",
        "arm",
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
