"""Topic ``profiles``: facts about an entity that are not in its transactions (home, limit, segment, ...)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, field_serializer, model_validator
from pydantic_core import PydanticCustomError

from fraud.contracts.wire import Record
from fraud.settings.names import suggest

if TYPE_CHECKING:
    from datetime import datetime


class ProfileValues(BaseModel):
    """Values of an entity's profile; its fields are a schema's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Names of fields that are given together: a latitude and its longitude."""

    @model_validator(mode="after")
    def _check_whole(self) -> "ProfileValues":
        told = self.model_fields_set
        if not told:
            raise ValueError("has no value; give at least one")
        for one, other in self.places:
            if (one in told) != (other in told) or (getattr(self, one) is None) != (
                getattr(self, other) is None
            ):
                raise ValueError(f"{one} and {other} must be given together")
        return self


class Profile(Record):
    """Some values of an entity's profile, which it names by the fields of its key.

    A value that is left out stays what it was; one that is null is not known any more.
    """

    if TYPE_CHECKING:  # beside the keys, which are a schema's
        entity: str
        """Of those that have a profile in the schema."""
        profile_time: datetime
        """When the values became known; an older profile never takes the place of a newer one."""
        source: str | None
        """Where it comes from, e.g. ``core-banking``."""
        profile: str
        """The values by name, a JSON object; as an object on the wire, as its text here and in tables."""

    keys: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By entity: the fields that name one."""
    values: ClassVar[Mapping[str, type[ProfileValues]]] = {}
    """By entity: what the values must be."""
    all_keys: ClassVar[tuple[str, ...]] = ()

    @property
    def record_key(self) -> str:
        """Key of its record on the topic: the entity, and which one."""
        return ":".join([self.entity, *(getattr(self, name) for name in self.keys[self.entity])])

    @model_validator(mode="after")
    def _check_key(self) -> "Profile":
        if type(self) is Profile:
            raise TypeError("Profile has no fields of its own: use contracts_of(schema).profile")
        wanted = self.keys[self.entity]
        for name in self.all_keys:
            if name in wanted and getattr(self, name) is None:
                raise ValueError(f"{name} is the key of the entity {self.entity} and must be given")
            if name not in wanted and getattr(self, name) is not None:
                words = " and ".join(wanted)
                raise ValueError(f"{name} is no key of the entity {self.entity}, which {words} names")
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_values(cls, given: Any) -> Any:
        """Check the values, and write them as a text that is the same for the same values."""
        if not isinstance(given, Mapping) or "profile" not in given:
            return given
        entity = given.get("entity")
        model = cls.values.get(entity) if isinstance(entity, str) else None
        if model is None:
            return given
        return {**given, "profile": _text_of(model, given["profile"])}

    @field_serializer("profile", when_used="json", check_fields=False)
    def _as_object(self, profile: str) -> Any:
        return orjson.loads(profile)


def _text_of(model: type[ProfileValues], values: Any) -> str:
    try:
        read = model.model_validate_json(values if isinstance(values, str) else orjson.dumps(values))
    except (ValidationError, orjson.JSONEncodeError) as error:
        raise _refused(error, model) from error
    told = read.model_dump(mode="json", include=read.model_fields_set)
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def _refused(error: Exception, model: type[ProfileValues]) -> ValidationError:
    words, place = str(error), ["profile"]
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        words = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            words = f"the profile has no such value; {suggest(str(first['loc'][-1]), model.model_fields)}"
        place += map(str, first["loc"])
    wrong = PydanticCustomError("refused", "{words}", {"words": words})
    return ValidationError.from_exception_data(
        "Profile", [{"type": wrong, "loc": tuple(place), "input": None}]
    )
