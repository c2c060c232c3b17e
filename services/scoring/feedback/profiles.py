"""Profiles of entities, as they come to ``POST /v1/profiles``: checked, and sent on to the stream."""

from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from fraud.contracts import PROFILES, AheadBounds, Profile, check_future, contracts_of
from fraud.contracts.models import make_model
from fraud.contracts.wire import EventTime
from fraud.errors import BadRecord, Unavailable
from fraud.http.access import ANYONE
from fraud.http.problems import of_record
from fraud.kafka.producer import Record, Sender
from fraud.schema.schema import Schema
from services.scoring.feedback.labels import source_of
from services.scoring.feedback.requests import Detail
from services.scoring.records import now

_VALUES: Final = Annotated[str, WithJsonSchema({"type": "object", "minProperties": 1})]
_REQUESTED: Final[dict[str, Any]] = {
    "profile_time": (
        EventTime | None,
        Field(None, description="When the values became known; default: now."),
    ),
    "profile": (_VALUES, Field(description="The values by name.")),
    "source": (
        Detail | None,
        Field(None, description="Follows the client's name in the stored source."),
    ),
}


@lru_cache(maxsize=64)
def profile_request_of(schema: Schema) -> type[Profile]:
    """Make the model of a schema's profiles as they come."""

    class Strict(contracts_of(schema).profile or Profile):  # type: ignore[misc]
        """Values of an entity's profile; one that is left out stays, one that is null is known no more."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    found: type[Profile] = make_model("ProfileRequest", Strict, _REQUESTED)
    return found


class Profiles:
    """Takes profiles.

    Parameters
    ----------
    kafka
        Takes what is sent.
    bounds
        How far a profile may be dated ahead.
    schema
        Of the profiles.
    """

    def __init__(self, kafka: Sender, bounds: AheadBounds, schema: Schema) -> None:
        self._kafka, self._bounds = kafka, bounds
        self._model = contracts_of(schema).profile

    def take(self, request: Profile, client: str = ANYONE.name) -> None:
        """Send a profile on; the stream folds it when it arrives.

        Raises
        ------
        Problem
            422, when it is dated into the future.
        Unavailable
            When Kafka does not take it; send it again.
        TypeError
            When no entity has a profile; there is no endpoint then.
        """
        if self._model is None:
            raise TypeError("the schema takes no profiles")
        try:
            check_future(request, now(), self._bounds)
        except BadRecord as error:
            raise of_record(error) from error
        told = {"source": source_of(client, request.source), "profile_time": request.profile_time or now()}
        record = self._model.model_validate(request.model_dump() | told)
        message = Record(PROFILES, record.record_key, record.model_dump_json(exclude_none=True).encode())
        if not self._kafka.deliver([message]).is_complete:
            raise Unavailable("Kafka did not accept the profile; send it again")
