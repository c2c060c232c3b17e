"""Common parts of requests about an earlier transaction: labels and results."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fraud.contracts.models import make_model
from fraud.contracts.wire import Identifier
from fraud.schema.schema import Schema
from services.scoring.feedback.lookup import keys_of

Detail = Annotated[str, Field(min_length=1, max_length=27)]
SOURCE: Final = "api:"
"""Before the client's name, in a label's source; the console's labels begin with another word."""


class NoticeRequest(BaseModel):
    """What is said of one transaction; the schema adds its keys (:func:`with_keys`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: ClassVar[tuple[str, ...]] = ()
    """Names of the keys of a transaction."""
    primary: ClassVar[str] = ""
    """The one that is needed beside the transaction's id: the primary entity's state knows the others."""

    transaction_id: Identifier

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        """Refuse keys of a transaction that lack the primary entity's."""
        given = any(getattr(self, name) is not None for name in self.keys)
        if given and getattr(self, self.primary) is None:
            raise ValueError(f"give the {self.primary} of the transaction too, or none of its keys")
        return self


def with_keys(
    name: str, base: type[NoticeRequest], schema: Schema, fields: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """Make the model of a schema's requests.

    Parameters
    ----------
    name
        Of the model.
    base
        What holds for every schema.
    schema
        Whose keys a request may name.
    fields
        Further ones, with their types.
    """
    keys: dict[str, Any] = dict.fromkeys(schema.key_names, (Identifier | None, None))
    found: Any = make_model(name, base, {**keys, **fields})
    found.keys, found.primary = keys_of(schema), schema.primary_key.name
    return found
