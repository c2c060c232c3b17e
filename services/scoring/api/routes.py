"""The endpoints, one declaration each: requests are found by them, and the OpenAPI document is made of them.

To add one: a :class:`Route` here, and a function of its name in ``services/scoring/api/app.py``.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, create_model

from fraud.contracts import contracts_of
from fraud.decide.list_changes import ListChange
from fraud.http.access import KeyScope
from fraud.schema.schema import Schema
from services.scoring.api.answers import (
    Accepted,
    Answer,
    Answers,
    InferAnswer,
    ListChanged,
    Predictions,
    ProfileTaken,
)
from services.scoring.api.examples import ACCEPTED, LIST_CHANGE, examples_of
from services.scoring.feedback.labels import label_request_of
from services.scoring.feedback.profiles import profile_request_of
from services.scoring.feedback.results import result_request_of

ID: Final = "{transaction_id}"
"""In a path: the rest of it is the id of a transaction."""
_WHOLE: Final = "Whether answers are whole: the model is loaded and the store answers"
_AWAY: Final = (503,)


@dataclass(frozen=True, slots=True)
class Sample:
    """A body: its model and an example."""

    model: type[BaseModel]
    example: Any


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint."""

    operation: str
    """Its name."""
    method: Literal["GET", "POST"]
    path: str
    summary: str
    scope: KeyScope | None = None
    """What the caller's key must be for."""
    is_open: bool = False
    """Whether it needs no key: probes, scrapes and the contract."""
    request: Sample | None = None
    answer: Sample | None = None
    """None: the document does not say what it holds."""
    problems: tuple[int, ...] = ()
    """Statuses beside those of keys, bodies and limits."""
    counted_as: str = ""
    """Its name in the metrics; empty: its path."""


def routes_of(
    schema: Schema,
    name: str = "fraud",
    most: int = 500,
) -> tuple[Route, ...]:
    """Declare the endpoints.

    Parameters
    ----------
    schema
        Of the transactions.
    name
        Of the model in KServe's paths.
    most
        Transactions of one batch.
    """
    contracts, of = contracts_of(schema), examples_of(schema)
    transaction, primary = contracts.request, schema.primary_key.name
    one = Sample(transaction, of.transaction)
    answers = Sample(Answers, {"answers": [of.answer]})
    return (
        _post("score", "/v1/score", "Decide one transaction", one, Sample(Answer, of.answer)),
        _post(
            "score_batch",
            "/v1/score/batch",
            "Decide many, one after another",
            _many("TransactionBatch", "transactions", schema, most),
            answers,
        ),
        _post(
            "label",
            "/v1/labels",
            f"Take the label of a transaction; with its {primary} also where the service does not know it",
            Sample(label_request_of(schema), of.label),
            Sample(Accepted, ACCEPTED),
            scope=KeyScope.LABEL,
        ),
        *(_results(schema) if contracts.result else ()),
        *(_profiles(schema) if contracts.profile else ()),
        Route(
            "decision",
            "GET",
            f"/v1/decisions/{ID}",
            "What was answered, with the features that it was made of",
            scope=KeyScope.READ,
            answer=Sample(contracts.scored, of.decision),
            problems=(404, 503),
            counted_as="/v1/decisions",
        ),
        _post(
            "list",
            "/v1/lists",
            "Change a list that rules read: create it, add an entry or remove one",
            Sample(ListChange, LIST_CHANGE),
            Sample(ListChanged, {"list": "stolen_devices", "status": "accepted"}),
            scope=KeyScope.RULES,
        ),
        *_kserve(schema, name, most),
        _get("health", "/health", "Whether the process lives", is_open=True),
        _get(
            "ready",
            "/ready",
            "Whether it takes requests; it also decides without the model, the feature store or Kafka",
            problems=_AWAY,
            is_open=True,
        ),
        _get("metrics", "/metrics", "Metrics for Prometheus", is_open=True),
        _get("openapi", "/openapi.json", "This document", is_open=True),
    )


def _results(schema: Schema) -> tuple[Route]:
    """Declare what only a schema that takes results has."""
    primary, of = schema.primary_key.name, examples_of(schema)
    return (
        _post(
            "result",
            "/v1/results",
            f"Take what became of a transaction; with its {primary} also where the service does not know it",
            Sample(result_request_of(schema), of.result),
            Sample(Accepted, ACCEPTED),
            scope=KeyScope.LABEL,
        ),
    )


def _profiles(schema: Schema) -> tuple[Route]:
    """Declare what only a schema has whose entities have profiles."""
    of = examples_of(schema)
    return (
        _post(
            "profile",
            "/v1/profiles",
            "Take values of an entity's profile: a home, a limit, a segment",
            Sample(profile_request_of(schema), of.profile),
            Sample(ProfileTaken, {"entity": of.profile["entity"], "status": "accepted"}),
            scope=KeyScope.LABEL,
        ),
    )


def _kserve(schema: Schema, name: str, most: int) -> tuple[Route, ...]:
    """Declare KServe's protocols, in which raw transactions are the model's inputs."""
    of = examples_of(schema)
    return (
        _post(
            "predict",
            f"/v1/models/{name}:predict",
            "Decide many, KServe v1",
            _many("Instances", "instances", schema, most),
            Sample(Predictions, {"predictions": [of.answer]}),
            counted_as="/kserve",
        ),
        _post(
            "infer",
            f"/v2/models/{name}/infer",
            "Decide many, KServe v2; the tensor holds transactions as JSON, and may be binary",
            Sample(_infer_request(most), of.infer),
            Sample(InferAnswer, of.inferred(name)),
            counted_as="/kserve",
        ),
        _look("v1_models", "/v1/models", "The names of the models"),
        _look("v1_model", f"/v1/models/{name}", _WHOLE, problems=_AWAY),
        # KServe's probe; a stranger learns no more from it than from /ready.
        _look("v2_model_ready", f"/v2/models/{name}/ready", _WHOLE, problems=_AWAY, is_open=True),
        _look("v2_model", f"/v2/models/{name}", "Names, types and shapes of the tensors"),
        _look("v2", "/v2", "Name, version and extensions of the server"),
        _look("v2_live", "/v2/health/live", "As /health, in KServe's words", is_open=True),
        _look("v2_ready", "/v2/health/ready", "As /ready, in KServe's words", problems=_AWAY, is_open=True),
    )


def _post(
    operation: str,
    path: str,
    summary: str,
    request: Sample,
    answer: Sample,
    *,
    scope: KeyScope = KeyScope.SCORE,
    counted_as: str = "",
) -> Route:
    return Route(
        operation,
        "POST",
        path,
        summary,
        scope=scope,
        request=request,
        answer=answer,
        problems=(404, 409, 503),
        counted_as=counted_as,
    )


def _get(
    operation: str,
    path: str,
    summary: str,
    *,
    problems: tuple[int, ...] = (),
    is_open: bool = False,
    counted_as: str = "",
) -> Route:
    return Route(operation, "GET", path, summary, is_open=is_open, problems=problems, counted_as=counted_as)


def _look(
    operation: str, path: str, summary: str, *, problems: tuple[int, ...] = (), is_open: bool = False
) -> Route:
    return _get(operation, path, summary, problems=problems, is_open=is_open, counted_as="/kserve")


def _many(model: str, name: str, schema: Schema, most: int) -> Sample:
    """Make the body that holds a list of transactions under a name."""
    transaction = contracts_of(schema).request
    some: Any = Annotated[list[transaction], Field(min_length=1, max_length=most)]  # type: ignore[valid-type]
    return Sample(_model(model, {name: some}), {name: [examples_of(schema).transaction]})


def _infer_request(most: int) -> type[BaseModel]:
    tensor: Any = _model(
        "Tensor",
        {
            "name": Literal["transactions"],
            "datatype": Literal["BYTES"],
            "shape": Annotated[list[int], Field(min_length=1, max_length=1)],
            "data": Annotated[list[str], Field(min_length=1, max_length=most)],
        },
    )
    return _model("InferRequest", {"inputs": Annotated[list[tensor], Field(min_length=1, max_length=1)]})


def _model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    """Make a model whose fields are all needed."""
    made: Any = {field: (kind, ...) for field, kind in fields.items()}
    found: type[BaseModel] = create_model(name, **made)
    return found
