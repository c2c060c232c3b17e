"""The schema's file as it is written: what may stand where, with words for editors (JSON Schema)."""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fraud.money.money import MOST_BASE
from fraud.schema.fields import FieldType
from fraud.schema.future import LONGEST_AHEAD_S
from fraud.schema.kinds import COUNTED_KINDS, Kind
from fraud.schema.results import Result
from fraud.schema.sides import SIDES
from fraud.schema.source import Reading

FORMAT: Final = 1
"""Of the file; a change that old files do not fit raises it."""
MOST_FIELDS: Final = 100
MOST_ENTITIES: Final = 8
MOST_FEATURES: Final = 400
MOST_FILTERS: Final = 16
MOST_SOURCES: Final = 1_000
"""That have a bound of their own."""

RESERVED_ENTITIES: Final = frozenset({"answer", "answers", "drainer", "ending", "meta", "newest", "outbox"})
"""Names under which the feature store keeps other things than states."""
_NAME, _ENTITY = "^[a-z][a-z0-9_]{0,39}$", "^[a-z][a-z0-9_]{0,31}$"
_WINDOW, _CURRENCY = "^[1-9][0-9]{0,3}[mhd]$", "^[A-Z]{3}$"
_LETTERS = "small letters, digits and _, with a letter first"
PATTERNS: Final = {
    _NAME: f"no name; write up to 40 {_LETTERS}",
    _ENTITY: f"no name of an entity; write up to 32 {_LETTERS}",
    _WINDOW: "no window; write minutes, hours or days, e.g. 30m, 24h or 7d",
    _CURRENCY: "no currency of ISO 4217; write three capital letters, e.g. USD",
}
"""What a text that does not match is, and what to write."""
Name = Annotated[str, Field(pattern=_NAME)]
EntityName = Annotated[str, Field(pattern=_ENTITY)]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


WindowName = Annotated[str, BeforeValidator(_as_text), Field(pattern=_WINDOW)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _of_word(value: Any) -> Any:
    return {"statistic": value} if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
Words = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]], BeforeValidator(_as_list), Field(min_length=1)
]
WindowNames = Annotated[list[WindowName], BeforeValidator(_as_list), Field(min_length=1)]


class Part(BaseModel):
    """A part of the file: what it does not know is an error, as it may be a misspelt word."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldPart(Part):
    """A field of the transactions, beside transaction_id, event_time, amount and currency."""

    type: FieldType = Field(
        description="key: an identifier; category: one of some words; number: with a fixed count of "
        "decimals; flag: true or false; time: a moment; place: latitude and longitude; zone: the clocks of "
        "the place (Europe/Berlin or +02:00), by which hours and weekdays count; text: archived, and read "
        "by rules"
    )
    required: bool = Field(False, description="Whether a transaction without it is refused.")
    description: str = Field("", max_length=500, description="What it is, in words.")
    scale: int = Field(0, ge=0, le=6, description="Decimals of a number; further ones are rounded.")
    longest: int = Field(64, ge=1, le=4096, description="Most characters of a word or a text.")
    pattern: str = Field("", max_length=200, description="Regular expression that the whole word matches.")
    columns: list[Name] = Field(
        default_factory=list, description="Of a place: the names of its latitude and its longitude."
    )
    default: str = Field("", description="Of a zone: the clocks of a record that names none; else UTC.")
    personal: bool = Field(False, description="Whether it is personal data.")
    examples: list[str | bool | float] = Field(default_factory=list, max_length=20)


class SidesPart(Part):
    """The two sides of a transaction from which an entity sees it: an account sends and receives."""

    out: Names = Field(description="The field, or the fields together, that name the one it goes out of.")
    in_: Names = Field(alias="in", description="Those that name the one it comes into, in the same order.")


class EntityPart(Part):
    """Whom or what a state is kept for: a card, an account, a device."""

    key: Names | None = Field(None, description="The field, or the fields together, that name one.")
    sides: SidesPart | None = Field(
        None,
        description="In the place of `key`: the keys of its two sides, e.g. {out: sender, in: receiver}. An "
        "account has one history of both. Not of the primary.",
    )
    primary: bool = Field(
        False, description="The one that finds duplicates and labels' transactions, and keys the topic."
    )
    description: str = Field("", max_length=500)
    events: int | None = Field(
        None,
        ge=16,
        le=65_536,
        description="How many of its latest events are kept one by one; none given: 256, and 4,096 of the "
        "primary where the schema takes results.",
    )
    remember: int | dict[str, Annotated[int, Field(ge=1, le=4096)]] = Field(
        64, description="How many values of each field are remembered for 'first time'; or by field."
    )
    place: str | None = Field(None, description="The field of type place that is kept of its events.")
    kinds: list[Kind] = Field(
        list(COUNTED_KINDS),
        min_length=1,
        description="Kinds of transactions that count in its history. One of another kind gets its vector "
        "and changes nothing.",
    )
    uncount: list[Result] | None = Field(
        None,
        description="Results that take a transaction out of its history; none given: `reversed`, where the "
        "schema takes it.",
    )


class FeaturePart(Part):
    """One feature, or several that differ in statistic, field or window."""

    statistic: Names = Field(description="What is computed; `fraud features statistics` lists them.")
    entity: str | None = Field(None, description="Whose history; none: of the transaction alone.")
    side: Names | None = Field(
        None, description=f"Of an entity with two sides: whose history, that of {' or '.join(SIDES)}."
    )
    window: WindowNames | None = Field(None, description="Minutes, hours or days back, e.g. 30m, 24h, 7d.")
    base: WindowName | None = Field(None, description="The window that it is compared with.")
    field: Names | None = Field(None, description="The field whose values are counted, compared, hashed.")
    profile: Names | None = Field(None, description="The field of the entity's profile that is looked at.")
    equals: Words | None = Field(
        None, description="The word that the field of the profile is compared with, e.g. vip."
    )
    value: str | None = Field(None, description="A number field; none: the amount.")
    where: str | None = Field(None, description="A filter, by its name: only events that it holds for.")
    percent: int = Field(50, ge=1, le=100, description="Of a percentile.")
    of: list[str] | None = Field(
        None, min_length=2, max_length=8, description="The features, by name, that it is made of."
    )
    name: Name | None = Field(None, description="In the place of the derived name.")
    monotone: Literal[-1, 0, 1] = Field(0, description="1: a higher value can only raise the score.")


class BoundsPart(Part):
    """Bounds of the amounts in one currency, in its own units."""

    least: Decimal = Field(
        Decimal(0), ge=0, description="Smallest amount beside 0, which a verification has."
    )
    most: Decimal | None = Field(None, gt=0, description="Greatest amount.")


class MoneyPart(Part):
    """Amounts of several currencies, which the features count in one: the base."""

    base: str = Field(
        pattern=_CURRENCY,
        description="Currency of the features' amounts (ISO 4217); a record that names none is in it.",
    )
    unknown: Literal["refuse", "decide"] = Field(
        "refuse",
        description="A record whose currency has no rate: a dead letter, or decided without its amount and "
        "in no history.",
    )
    most: int = Field(MOST_BASE, ge=1, description="Greatest amount, units of the base currency.")
    bounds: dict[str, BoundsPart] = Field(
        default_factory=dict, description="Further bounds by currency, e.g. `KWD: {least: 0.1, most: 3000}`."
    )


class ProfilePart(Part):
    """A field of an entity's profile."""

    type: FieldType = Field(
        description="key, category, number, flag, time, place or zone, as of a transaction's fields"
    )
    description: str = Field("", max_length=500, description="What it is, in words.")
    scale: int = Field(0, ge=0, le=6, description="Decimals of a number; further ones are rounded.")
    longest: int = Field(64, ge=1, le=4096, description="Most characters of a word.")
    pattern: str = Field("", max_length=200, description="Regular expression that the whole word matches.")
    columns: list[Name] = Field(
        default_factory=list, description="Of a place: the names of its latitude and its longitude."
    )
    personal: bool = Field(False, description="Whether it is personal data.")
    examples: list[str | bool | float] = Field(default_factory=list, max_length=20)


class FuturePart(Part):
    """How far ahead of its arrival a transaction may be dated, by its source."""

    by: str = Field(description="Key or category that names the source, e.g. channel or terminal_id.")
    most_ahead_s: dict[
        str, Annotated[float, Field(ge=0.0, le=LONGEST_AHEAD_S, strict=True, allow_inf_nan=False)]
    ] = Field(
        min_length=1,
        max_length=MOST_SOURCES,
        description="Its values, each with the bound in seconds, e.g. `pos: 30`. All others have that of the "
        "setting `most_ahead_s`.",
    )


class FallbackPart(Part):
    """What is sent to review while no model answers."""

    feature: str
    at_least: float


class JoinPart(Part):
    """A table that has further columns of the transactions: of an identity, an account, a merchant."""

    table: str = Field(
        min_length=1,
        description="File name beside the transactions' table, a path or a URI; a row for each key.",
    )
    by: str = Field(min_length=1, description="Column of the transactions' table that names the row.")
    key: str = Field("", description="Column of the joined table that is equal to it; empty: the same name.")


class SourcePart(Part):
    """How the adopter's own tables become records of this schema; the platform's tables need none."""

    joins: list[JoinPart] = Field(
        default_factory=list,
        max_length=16,
        description="Tables whose columns are added to the transactions'; a transaction without a row there "
        "has nothing in them.",
    )
    columns: dict[Name, str] = Field(
        default_factory=dict,
        description="Our column: the table's column, or an expression over its columns, e.g. "
        "number(Amount, 'comma'); `fraud/schema/expressions.py` lists the functions.",
    )
    read: Reading = Field(Reading(), description="How the table's texts are meant.")


class Document(Part):
    """The file."""

    format: Literal[1]
    name: str = Field(min_length=1, max_length=64, description="Of the schema, for people.")
    fields: dict[Name, FieldPart] = Field(max_length=MOST_FIELDS)
    filters: dict[Name, str] = Field(
        default_factory=dict,
        max_length=MOST_FILTERS,
        description="Conditions over a record's own fields, by name, e.g. online: channel == 'online'.",
    )
    entities: dict[EntityName, EntityPart] = Field(min_length=1, max_length=MOST_ENTITIES)
    features: list[Annotated[FeaturePart, BeforeValidator(_of_word)]] = Field(
        min_length=1, max_length=MOST_FEATURES
    )
    results: list[Result] = Field(
        default_factory=list,
        description="What may be told of a transaction afterwards, on the topic `results`; each is a filter "
        "by its name.",
    )
    profiles: dict[EntityName, dict[Name, ProfilePart]] = Field(
        default_factory=dict,
        description="By entity: what is known of it beside its transactions, told on the topic `profiles`.",
    )
    money: MoneyPart | None = Field(
        None, description="Where amounts have several currencies; none: all are in one, whatever they name."
    )
    future: FuturePart | None = Field(
        None, description="Bounds of the guard against dates in the future, by the transactions' source."
    )
    fallback: list[FallbackPart] = Field(default_factory=list, max_length=20)
    new: str | None = Field(
        None, description="A feature that is 0 for an entity that is new; reports show those apart."
    )
    segments: list[str] = Field(
        default_factory=list, description="Fields of type category that reports are divided by."
    )
    source: SourcePart | None = Field(
        None, description="Where the fields come from in own tables; `fraud init` writes it."
    )


def json_schema() -> dict[str, Any]:
    """Write the JSON Schema, with which editors complete and check the file."""
    return {
        **Document.model_json_schema(),
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Schema of a fraud detection deployment",
    }
