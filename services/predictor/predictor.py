"""The served model: reads an inference request, scores it, writes the response.

Input tensor ``features`` FP64 [n, F]; output ``probability`` FP64 [n]. With the request parameter
``reasons_from`` also ``reason_index`` INT32 [n, 3] and ``reason_contribution`` FP64 [n, 3] for the rows
whose probability is at least that. Response parameters carry the model's version, its feature table
and its thresholds, so that a caller never mixes two versions.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import kserve
import numpy as np
from fastapi import HTTPException
from kserve.errors import InvalidInput, ModelNotReady, ServerNotReady

from fraud.contracts import Thresholds
from fraud.model.card import REASONS, Floats
from fraud.model.client import CALL, TIMEOUT, Scores
from fraud.model.watcher import ModelSource, ModelWatcher, ServedModel
from fraud.schema.schema import Schema
from services.predictor import metrics
from services.predictor.canary import Canary, count
from services.predictor.settings import PredictorSettings

INPUT: Final = "features"
_CHATTY: Final = ("uvicorn.access", "kserve.trace")
"""Loggers that write a line per request."""
_EXPECTED: Final = (InvalidInput, ModelNotReady, ServerNotReady)
"""Answered with their status and counted; the SDK would log each with a traceback."""
_log = logging.getLogger(__name__)


class Predictor(kserve.Model):  # type: ignore[misc]
    """Scores with the version that the registry names, and swaps versions between requests.

    Parameters
    ----------
    settings
        Of the model server.
    is_required
        Whether the server is ready only with it; otherwise the registry need not have it.
    schema
        That the model must fit.
    """

    def __init__(self, settings: PredictorSettings, schema: Schema, *, is_required: bool = True) -> None:
        super().__init__(settings.name)
        self._width = len(schema.features)
        self.is_required = is_required
        self.ready = True  # the SDK registers only models that say so; `healthy` tells the truth
        self.served: ServedModel | None = None
        self._settings = settings
        self._in_flight = 0
        self._threads = ThreadPoolExecutor(settings.parallel, thread_name_prefix="score")
        self._watcher = ModelWatcher(
            ModelSource(settings, is_required=is_required, schema=schema),
            self.publish,
            settings.reload_s,
            settings.backoff_max_s,
            f"model-{settings.name}",
        )
        self._canary = (
            Canary(settings, schema.features_version) if is_required and settings.canary_url else None
        )

    async def healthy(self) -> bool:
        """Whether a model is loaded; the readiness of ``/v2/health/ready``."""
        return self.served is not None

    def load(self) -> bool:
        """Say whether a model is loaded; the watcher alone loads."""
        return self.served is not None

    def start(self) -> None:
        """Start to follow the registry."""
        quieten()
        self._watcher.start()
        if self._canary:
            self._canary.start()

    def stop(self) -> None:
        """Stop following the registry."""
        self._watcher.stop()
        if self._canary:
            self._canary.stop()

    def publish(self, served: ServedModel | None) -> None:
        """Serve another version, or none, from the next request on; requests under way end with theirs."""
        if self.served is not None:
            metrics.MODEL_INFO.remove(*self._labels(self.served))
        self.served = served
        if served is None:
            _log.info("%s is not served any more", self._settings.model)
            return
        metrics.MODEL_INFO.labels(*self._labels(served)).set(1.0)
        _log.info("serving version %s of %s", served.version, self._settings.model)

    def _labels(self, served: ServedModel) -> tuple[str, str, str]:
        return self._settings.name, served.version, served.scoring.card.features_version

    def get_input_types(self) -> list[dict[str, Any]]:
        """Describe the input tensor."""
        return [{"name": INPUT, "datatype": "FP64", "shape": [-1, self._width]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Describe the output tensors; the reasons come on request."""
        return [
            {"name": "probability", "datatype": "FP64", "shape": [-1]},
            {"name": "reason_index", "datatype": "INT32", "shape": [-1, REASONS]},
            {"name": "reason_contribution", "datatype": "FP64", "shape": [-1, REASONS]},
        ]

    async def predict(
        self, payload: Any, headers: dict[str, str] | None = None, response_headers: Any = None
    ) -> kserve.InferResponse:
        """Score one request; large batches in a thread, so that small ones need not wait."""
        del response_headers
        started_at, served = perf_counter(), self.served
        if served is None:
            raise ModelNotReady(self.name)
        vectors, reasons_from = read_vectors(payload, self._width), read_reasons_from(payload)
        if self._in_flight >= self._settings.max_in_flight:
            metrics.REFUSED_REQUESTS.labels("busy").inc()
            raise HTTPException(
                429, f"too many requests (limit {self._settings.max_in_flight}); retry after 1 s"
            )
        self._in_flight += 1
        try:
            given = headers or {}
            if self._canary and self._canary.takes(given.get(CALL)):
                scores = await self._canary.score(vectors, reasons_from, given.get(TIMEOUT))
                if scores is not None:
                    seconds = perf_counter() - started_at
                    count(scores.model_version, scores.probability, scores.thresholds.review, seconds)
                    return write_scores(payload, scores, with_reasons=reasons_from is not None)
                started_at = perf_counter()
            if len(vectors) <= self._settings.inline_rows:
                tensors = score(served, vectors, reasons_from)
            else:
                loop = asyncio.get_running_loop()
                tensors = await loop.run_in_executor(self._threads, score, served, vectors, reasons_from)
        except Exception:
            metrics.FAILURES.labels(served.version).inc()
            raise
        finally:
            self._in_flight -= 1
        metrics.ROWS.inc(len(vectors))
        review = served.scoring.card.thresholds.review
        count(served.version, tensors["probability"], review, perf_counter() - started_at)
        return write_response(payload, served, tensors)


def read_vectors(request: Any, width: int) -> Floats:
    """Take the feature vectors, [n, width], out of a request.

    Raises
    ------
    InvalidInput
        Saying what was expected; answered with status 400.
    """
    if not isinstance(request, kserve.InferRequest):
        raise InvalidInput(f"only the v2 inference protocol is served; send the tensor {INPUT!r}")
    expected = f"one input {INPUT!r}, FP64, of shape [n, {width}]"
    if len(request.inputs) != 1 or request.inputs[0].name != INPUT:
        raise InvalidInput(f"expected {expected}; got {[tensor.name for tensor in request.inputs]}")
    tensor = request.inputs[0]
    shape = list(tensor.shape) if isinstance(tensor.shape, list | tuple) else []
    is_whole = all(isinstance(size, int) and size >= 0 for size in shape)
    if tensor.datatype != "FP64" or len(shape) != 2 or not is_whole or shape[1] != width:
        raise InvalidInput(f"expected {expected}; got {tensor.datatype} of shape {shape}")
    try:
        return np.ascontiguousarray(tensor.as_numpy(), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"the data of {INPUT!r} do not fill the shape {shape}: {error}") from error


def read_reasons_from(request: kserve.InferRequest) -> float | None:
    """Take the parameter ``reasons_from`` out of a request.

    Raises
    ------
    InvalidInput
        When it is not a number.
    """
    value = (request.parameters or {}).get("reasons_from")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"parameter reasons_from must be a number; got {value!r}")
    return float(value)


def score(served: ServedModel, vectors: Floats, reasons_from: float | None) -> dict[str, np.ndarray]:
    """Compute the output tensors of a batch."""
    probability = served.scoring.predict(vectors)
    tensors: dict[str, np.ndarray] = {"probability": probability}
    if reasons_from is not None:
        chosen = probability >= reasons_from
        tensors["reason_index"], tensors["reason_contribution"] = served.scoring.reasons(vectors, chosen)
        metrics.REASON_ROWS.inc(int(chosen.sum()))
    return tensors


def write_scores(request: kserve.InferRequest, scores: Scores, *, with_reasons: bool) -> kserve.InferResponse:
    """Put another model server's answer into a response."""
    tensors: dict[str, np.ndarray] = {"probability": scores.probability}
    if with_reasons:
        tensors["reason_index"] = scores.reason_index
        tensors["reason_contribution"] = scores.reason_contribution
    return _respond(request, tensors, scores.model_version, scores.features_version, scores.thresholds)


def write_response(
    request: kserve.InferRequest, served: ServedModel, tensors: dict[str, np.ndarray]
) -> kserve.InferResponse:
    """Put the output tensors and the version that computed them into a response."""
    card = served.scoring.card
    return _respond(request, tensors, served.version, card.features_version, card.thresholds)


def _respond(
    request: kserve.InferRequest,
    tensors: dict[str, np.ndarray],
    version: str,
    features_version: str,
    thresholds: Thresholds,
) -> kserve.InferResponse:
    outputs = []
    for name, values in tensors.items():
        datatype = "INT32" if values.dtype == np.int32 else "FP64"
        outputs.append(kserve.InferOutput(name, list(values.shape), datatype, data=values))
    return kserve.InferResponse(
        response_id=request.id or str(uuid4()),
        model_name=request.model_name,
        model_version=version,
        infer_outputs=outputs,
        parameters={
            "model_version": version,
            "features_version": features_version,
            "review_threshold": thresholds.review,
            "decline_threshold": thresholds.decline,
        },
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def quieten() -> None:
    """Keep the SDK's loggers to what an operator must see, whatever configures them later."""
    for name in _CHATTY:
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.WARNING)
    logging.getLogger("kserve").addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, _EXPECTED)
