"""The HTTP side: kserve's v2 server, with binary tensors read without copies and no way to unload.

Endpoints: ``POST /v2/models/<name>/infer``, ``GET /v2/models/<name>``, ``GET /v2/models/<name>/ready``,
``GET /v2/health/ready``, ``GET /metrics``.
"""

from contextvars import ContextVar
from time import perf_counter
from typing import Annotated, Any, Final

import kserve
import orjson
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import RequestedOutput
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from pydantic import BaseModel, BeforeValidator, ConfigDict, NonNegativeInt, ValidationError

from fraud.http.server import Bounds, bounded
from fraud.model.client import served_name
from fraud.runtime.threads import ended_threads
from fraud.schema.schema import Schema
from fraud.settings.base import in_words
from services.predictor import metrics
from services.predictor.predictor import Predictor
from services.predictor.settings import PredictorSettings

JSON_LENGTH: Final = "inference-header-content-length"
_started_at: ContextVar[float] = ContextVar("started_at")


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


_Parameters = Annotated[dict[str, Any], BeforeValidator(_or_empty)]


class _InputParameters(BaseModel):
    model_config = ConfigDict(strict=True)

    binary_data_size: NonNegativeInt | None = None


class _Input(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: Annotated[_InputParameters, BeforeValidator(_or_empty)] = _InputParameters()


class _Output(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    parameters: _Parameters = {}


class _Head(BaseModel):
    """The JSON of a request, before its tensors' bytes."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    inputs: list[_Input]
    outputs: Annotated[list[_Output], BeforeValidator(lambda value: value or [])] = []
    parameters: _Parameters = {}


class BinaryDataPlane(DataPlane):  # type: ignore[misc]
    """Reads requests and writes responses.

    The SDK's own reader turns each value of a binary tensor into a Python number and back; this one
    hands the body's bytes to numpy as they are.
    """

    def decode(
        self, body: Any, headers: Any, protocol_version: str = "v1", model_name: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Read a request; the clock of its duration starts here."""
        _started_at.set(perf_counter())
        try:
            if isinstance(body, bytes) and protocol_version == "v2":
                return read_request(body, headers.get(JSON_LENGTH), str(model_name)), {}
            decoded: tuple[Any, dict[str, Any]] = super().decode(body, headers, protocol_version, model_name)
        except InvalidInput:
            metrics.REFUSED_REQUESTS.labels("invalid").inc()
            raise
        return decoded

    async def infer(self, model_name: str, request: Any, headers: Any = None) -> tuple[Any, dict[str, str]]:
        """Score a request; counts the refused ones."""
        try:
            answer: tuple[Any, dict[str, str]] = await super().infer(model_name, request, headers)
        except InvalidInput:
            metrics.REFUSED_REQUESTS.labels("invalid").inc()
            raise
        return answer

    def encode(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, str]]:
        """Write a response; the clock of its duration stops here."""
        encoded: tuple[Any, dict[str, str]] = super().encode(*args, **kwargs)
        metrics.REQUEST_SECONDS.observe(perf_counter() - _started_at.get())
        return encoded

    async def ready(self) -> bool:
        """Whether the model that must be there is loaded, and every thread lives.

        The challenger may come and go.
        """
        models = self.model_registry.get_models().values()
        return not ended_threads() and all([await model.healthy() for model in models if model.is_required])

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """Describe the model, with the version being served."""
        described: dict[str, Any] = await super().model_metadata(model_name)
        served = self.get_model_from_registry(model_name).served
        return {**described, "platform": "lightgbm", "versions": [served.version] if served else []}


class RegistryDecides(ModelRepositoryExtension):  # type: ignore[misc]
    """Refuses to load or unload by request: the registry's alias decides what is served."""

    async def load(self, model_name: str) -> None:
        """Refuse."""
        raise NotImplementedError(f"the registry's alias decides which version of {model_name} is loaded")

    async def unload(self, model_name: str) -> None:
        """Refuse."""
        raise NotImplementedError(f"{model_name} cannot be unloaded by request")


def read_request(body: bytes, json_length: str | None, model_name: str) -> kserve.InferRequest:
    """Read a request with binary tensors: JSON of ``json_length`` bytes, then the tensors' bytes.

    Raises
    ------
    InvalidInput
        In words; answered with status 400.
    """
    try:
        length = len(body) if json_length is None else int(json_length)
        head = _Head.model_validate(orjson.loads(memoryview(body)[:length]))
    except ValidationError as error:
        raise InvalidInput(f"not a v2 inference request: {in_words(error)}") from error
    except ValueError as error:
        raise InvalidInput(f"not a v2 inference request: {error}") from error
    inputs, start = [], length
    for described in head.inputs:
        tensor = kserve.InferInput(described.name, described.shape, described.datatype)
        size = described.parameters.binary_data_size
        if size is None:
            tensor.data = described.data
        else:
            tensor._raw_data = memoryview(body)[start : start + size]  # noqa: SLF001  (no public way in)
            start += size
        inputs.append(tensor)
    wanted = [RequestedOutput(output.name, output.parameters) for output in head.outputs]
    if start != len(body):
        raise InvalidInput(f"the body has {len(body)} bytes, its JSON and tensors say {start}")
    return kserve.InferRequest(
        model_name, inputs, head.id, parameters=head.parameters, request_outputs=wanted or None
    )


class Server(kserve.ModelServer):  # type: ignore[misc]
    """The SDK's server, on one address and with bounds on what clients may hold.

    The SDK has no way to give uvicorn's settings: it listens on every address, without bounds.

    Parameters
    ----------
    settings
        Address, port, and bounds of its HTTP connections.
    """

    def __init__(self, settings: PredictorSettings) -> None:
        super().__init__(http_port=settings.port, workers=1, enable_grpc=False)
        self._host = settings.host
        self._bounds = Bounds(
            message_bytes=settings.max_body_bytes,
            head_s=settings.head_s,
            body_s=settings.body_s,
            connection_s=settings.connection_s,
        )

    async def _serve(self) -> None:
        config = self._rest_server.config  # read when the server starts, below
        config.host, config.http = self._host, bounded(self._bounds)
        await super()._serve()


def serve(settings: PredictorSettings, schema: Schema) -> None:
    """Serve until the process is told to end.

    One process: more capacity means more replicas. The SDK's own worker processes are killed and
    started again for ever where importing takes longer than 5 s, outlive a killed parent, and would
    each show their own part of the metrics.
    """
    server = Server(settings)
    server.dataplane = BinaryDataPlane(model_registry=server.registered_models)
    server.model_repository_extension = RegistryDecides(model_registry=server.registered_models)
    models = [Predictor(settings, schema)]
    if settings.challenger:
        name = served_name("challenger", settings.name)
        models.append(
            Predictor(
                settings.model_copy(update={"model": settings.challenger, "name": name}),
                schema,
                is_required=False,
            )
        )
    server.start(models)
