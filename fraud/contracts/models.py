"""The records of one schema, as pydantic models: Kafka, the API and the tables check records by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    create_model,
)

from fraud.contracts.decision import Decision
from fraud.contracts.label import Label
from fraud.contracts.paid_back import Currency, PaidBack
from fraud.contracts.profile import Profile, ProfileValues
from fraud.contracts.result import Result
from fraud.contracts.scored import ScoredTransaction, Sequence
from fraud.contracts.topics import LABELS, PROFILES, RESULTS, SCORED, TRANSACTIONS
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import EventTime, Latitude, Longitude, ReasonCode, Record, SourceName
from fraud.contracts.zones import ListedZone, Zone
from fraud.money import exact_amount
from fraud.money.amounts import MOST_OWN_MINOR
from fraud.money.money import MOST_MINOR
from fraud.schema.fields import (
    AMOUNT_BASE,
    AMOUNT_MINOR,
    BASE_MINOR,
    CURRENCY_RATE,
    MOST_UNITS,
    RATE_SINCE,
    FieldType,
)
from fraud.schema.fields import Field as SchemaField
from fraud.schema.kinds import KINDS, PURCHASE
from fraud.schema.schema import Schema

Definitions = dict[str, Any]
MOST_AMOUNT: Final = 10_000_000.0
_LEAST: Final[dict[str, Any]] = {"minimum": 0}
"""For readers of the JSON schema; ``Transaction`` says what else must hold, with better words."""
_AMOUNT: Final = Annotated[
    float, Field(strict=True, le=MOST_AMOUNT, allow_inf_nan=False, json_schema_extra=_LEAST)
]


@dataclass(frozen=True)
class Contracts:
    """The models of one schema's records."""

    transaction: type[Transaction]
    request: type[Transaction]
    """A transaction to be decided; a field that is not known is refused, as it may be a misspelt one."""
    label: type[Label]
    scored: type[ScoredTransaction]
    decision: type[Decision]
    priced: type[Transaction]
    """A transaction with its whole amounts (``fraud.contracts.priced``); without money, just that."""
    result: type[Result] | None = None
    """None: the schema takes no results."""
    profile: type[Profile] | None = None
    """None: no entity of the schema has a profile."""

    @cached_property
    def by_topic(self) -> Mapping[str, type[Transaction | Label | Result | Profile]]:
        """What the records of the topics must be that the stream reads."""
        found: dict[str, type[Transaction | Label | Result | Profile]] = {
            TRANSACTIONS: self.transaction,
            LABELS: self.label,
            SCORED: self.scored,
        }
        found |= {RESULTS: self.result} if self.result else {}
        return found | ({PROFILES: self.profile} if self.profile else {})


@lru_cache(maxsize=64)
def contracts_of(schema: Schema) -> Contracts:
    """Make the models of a schema's records.

    Examples
    --------
    >>> from fraud.schema.deployed import deployed_schema
    >>> list(contracts_of(deployed_schema()).label.model_fields)[:4]
    ['schema_version', 'transaction_id', 'user_id', 'merchant_id']
    """
    fields: Definitions = {}
    for field in schema.fields:
        fields |= _definitions(field)
    if schema.money:
        fields["amount"] = _EXACT
    keys = {name: fields[name] for name in schema.key_names}
    primary = schema.primary_key.name
    transaction = make_model("Transaction", Transaction, fields)
    transaction.places = tuple(field.names for field in schema.named(FieldType.PLACE))
    transaction.money = schema.money
    told_of: Definitions = {
        "transaction_id": fields["transaction_id"],
        **{name: one if name == primary else _made_optional(one) for name, one in keys.items()},
        "event_time": (EventTime | None, Field(None, description="Event time of the transaction.")),
    }
    results: Definitions = {
        **told_of,
        "result_time": (EventTime, Field(description="When the result became known.")),
        "result": (result_type(schema), Field(description=f"One of {', '.join(schema.results)}.")),
        "source": (SourceName | None, Field(None, description="Where it comes from, e.g. issuer.")),
        "reason_code": (ReasonCode | None, Field(None, description="Of the issuer or the network, e.g. 51.")),
    }
    results |= REFUND if schema.takes_refunds else {}
    own = _PRICED if schema.money else {}
    scored = make_model("ScoredTransaction", ScoredTransaction, {**fields, **own, **_sequences(schema)})
    scored.places, scored.money = transaction.places, schema.money
    decided: Definitions = {"currency": fields["currency"], AMOUNT_BASE: (float | None, None)} if own else {}
    return Contracts(
        transaction=transaction,
        request=_strict("TransactionRequest", transaction),
        label=_label(schema, told_of),
        scored=scored,
        decision=make_model("Decision", Decision, {**keys, **decided}),
        priced=make_model("PricedTransaction", transaction, own) if own else transaction,
        result=_result(schema, results) if schema.results else None,
        profile=_profile(schema, keys) if schema.profiles else None,
    )


def _label(schema: Schema, told_of: Definitions) -> type[Label]:
    """Make the model of labels: first of what transaction, then what is said of it."""
    bases: Any = (Label, make_model("Labelled", Record, told_of))
    label = cast(
        "type[Label]",
        create_model("Label", __base__=bases, __doc__=Label.__doc__, __module__=__name__),
    )
    label.money = schema.money
    return label


def _result(schema: Schema, told: Definitions) -> type[Result]:
    model: type[Result] = make_model("Result", Result, told)
    model.money = schema.money
    return model


def _profile(schema: Schema, keys: Definitions) -> type[Profile]:
    """Make the model of profiles, and that of each entity's values."""
    names = tuple(name for name, _ in schema.profiles)
    told: Definitions = {
        "entity": (
            _one_of(names, "those that have a profile"),
            Field(description=f"One of {', '.join(names)}."),
        ),
        **{name: _made_optional(one) for name, one in keys.items()},
        "profile_time": (EventTime, Field(description="When the values became known.")),
        "profile": (str, Field(description="The values by name; one that is null is not known any more.")),
        "source": (SourceName | None, Field(None, description="Where it comes from, e.g. core-banking.")),
    }
    model: type[Profile] = make_model("Profile", Profile, told)
    own = {entity.name: fields for entity, fields in zip(schema.entities, schema.keys, strict=True)}
    model.all_keys = tuple(keys)
    model.keys = {name: tuple(field.name for field in own[name]) for name in names}
    model.values = {name: values_model(name, fields) for name, fields in schema.profiles}
    return model


def values_model(entity: str, fields: tuple[SchemaField, ...]) -> type[ProfileValues]:
    """Make the model of the values of an entity's profile: each may be left out, or be null."""
    told: Definitions = {}
    for field in fields:
        told |= {name: _made_optional(one) for name, one in _definitions(field).items()}
        if field.type is FieldType.ZONE:
            told[field.name] = (ListedZone | None, Field(None, description=field.description or None))
    model: type[ProfileValues] = make_model(f"{entity.title()}Profile", ProfileValues, told)
    model.places = tuple(field.names for field in fields if field.type is FieldType.PLACE)
    return model


def result_type(schema: Schema) -> Any:
    """Make the type of a result's word, with words that name those that the schema takes."""
    return _one_of(schema.results, "those that the schema takes")


def _one_of(words: tuple[str, ...], what: str) -> Any:
    def check(word: str) -> str:
        if word not in words:
            raise ValueError(f"must be one of {what}: {', '.join(words)}")
        return word

    pattern = f"^({'|'.join(words)})$"
    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"pattern": pattern})]


def sequence_of(entity: str) -> str:
    """Name the column that says how many transactions an entity has with this one."""
    return f"{entity}_sequence"


def make_model(name: str, base: type[Any], definitions: Definitions) -> Any:
    """Add fields to a model, under pydantic's definitions of them."""
    return create_model(name, __base__=base, __doc__=base.__doc__, __module__=__name__, **definitions)


_EXACT: Final = (
    Annotated[Decimal, BeforeValidator(exact_amount)],
    Field(
        description="In units of its currency, with its digits: a number, or a text like '12.50'.",
        json_schema_extra=_LEAST,
    ),
)
_PRICED: Final[Definitions] = {
    "amount": (float, ...),
    AMOUNT_MINOR: (Annotated[int, Field(strict=True, ge=0, le=MOST_OWN_MINOR)] | None, None),
    BASE_MINOR: (Annotated[int, Field(strict=True, ge=0, le=MOST_MINOR)] | None, None),
    CURRENCY_RATE: (str | None, None),
    RATE_SINCE: (AwareDatetime | None, None),
}


REFUND: Final[Definitions] = {
    "amount": (
        PaidBack | None,
        Field(None, description="Of a refund: what is paid back, in the currency of its transaction."),
    ),
    "currency": (Currency | None, Field(None, description="Of the amount; absent: the base currency.")),
}


def _strict(name: str, base: type[Any]) -> Any:
    """Refuse fields that a model does not know."""
    words = "A transaction to be decided; a field that is not known is refused."
    config = ConfigDict(frozen=True, extra="forbid")
    kind: Any = type(base)
    return kind(name, (base,), {"__module__": __name__, "__doc__": words, "model_config": config})


def _sequences(schema: Schema) -> Definitions:
    """Define the entities' sequences.

    But for the primary's they may be missing: the record does not name the entity, or a service of an older
    schema did not count it.
    """
    found: Definitions = {}
    for entity in schema.entities:
        for side, name in zip(entity.side_names, entity.log_names, strict=True):
            whose = entity.seen_from(side)
            words = f"How many transactions its {whose} has with this one: the order of their arrival."
            found[sequence_of(name)] = (
                (Sequence, Field(description=words))
                if entity is schema.primary
                else (Sequence | None, Field(None, description=words))
            )
    return found


def _definitions(field: SchemaField) -> Definitions:
    """Define a field for pydantic; a place is two."""
    words = field.description or None
    if field.name == "kind":
        return {field.name: _KIND}
    if field.type is FieldType.PLACE:
        kinds: list[Any] = [Latitude, Longitude]
        return {
            name: _optional(kind, words, is_required=field.required)
            for name, kind in zip(field.names, kinds, strict=True)
        }
    return {field.name: _optional(_type_of(field), words, is_required=field.required)}


def _optional(kind: Any, description: str | None, *, is_required: bool) -> tuple[Any, Any]:
    if is_required:
        return kind, Field(description=description)
    return kind | None, Field(None, description=description)


def _made_optional(definition: tuple[Any, Any]) -> tuple[Any, Any]:
    kind, told = definition
    return kind | None, Field(None, description=told.description)


_KIND: Final = (
    Annotated[
        Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")] | None,
        AfterValidator(lambda kind: kind or PURCHASE),
    ],
    Field(PURCHASE, description="What it is; absent: a purchase."),
)


def _type_of(field: SchemaField) -> Any:
    if field.name == "amount":
        return _AMOUNT
    if field.type is FieldType.FLAG:
        return StrictBool
    if field.type is FieldType.TIME:
        return EventTime
    if field.type is FieldType.ZONE:
        return Zone
    if field.type is FieldType.NUMBER:
        most = MOST_UNITS / 10**field.scale
        return Annotated[float, Field(strict=True, ge=-most, le=most, allow_inf_nan=False)]
    whole = (
        f"({field.pattern})" if "|" in field.pattern else field.pattern
    )  # ^a|b$ takes all that begin with a
    pattern = f"^{whole}$" if whole else None
    return Annotated[str, Field(min_length=1, max_length=field.longest, pattern=pattern)]


def record_names(model: type[Record]) -> tuple[str, ...]:
    """Names of a record's fields, without the version of the wire."""
    return tuple(name for name in model.model_fields if name != "schema_version")
