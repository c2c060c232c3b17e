"""The client of the model server: v2 inference protocol over HTTP with binary tensors.

Calls ``POST /v2/models/<name>/infer``. One client per process (it keeps its connections alive and may
be used by several threads). A call ends within its deadline, with scores of one model version, or
with :class:`~fraud.errors.Unavailable` (fall back) or :class:`~fraud.errors.BadModel` (stop asking).
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx
import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from fraud.contracts import Thresholds
from fraud.errors import BadModel, Unavailable
from fraud.model.breaker import CircuitBreaker
from fraud.runtime import traces
from fraud.schema.deployed import deployed_schema
from fraud.settings.base import Settings

JSON_LENGTH: Final = "inference-header-content-length"
"""Header of the binary tensor extension: how many bytes of the body are JSON."""
CALL: Final = "x-fraud-call"
"""Header that the requests of one call have in common: a rollout sends them to one and the same version."""
TIMEOUT: Final = "x-fraud-timeout"
"""Header that says how long the client waits for an answer, seconds."""
DTYPES: Final[dict[str, np.dtype[Any]]] = {"FP64": np.dtype("<f8"), "INT32": np.dtype("<i4")}
RETRIED_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


class ModelClientSettings(Settings):
    """How to reach the model server, and how long to try."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_MODEL_", frozen=True, extra="forbid")

    url: str = "http://127.0.0.1:8080"
    """Base address of the model server."""
    name: str = "fraud"
    """The model's name in the path."""
    timeout_s: float = Field(default=2.0, gt=0.0)
    """One attempt, from connecting to the last byte, seconds."""
    deadline_s: float = Field(default=5.0, gt=0.0)
    """One call with all its attempts, seconds."""
    retries: int = Field(default=3, ge=0)
    """Attempts after the first, per request."""
    backoff_s: float = Field(default=0.05, gt=0.0)
    """Greatest wait before the first retry, seconds; doubles with each retry."""
    backoff_max_s: float = Field(default=1.0, gt=0.0)
    """Greatest wait before any retry, seconds."""
    breaker_failures: int = Field(default=5, ge=1)
    """Failed attempts in a row that open the circuit breaker."""
    breaker_cooldown_s: float = Field(default=5.0, gt=0.0)
    """How long an open breaker refuses calls before it lets one try, seconds."""
    max_rows: int = Field(default=8192, ge=1)
    """Rows of one request; longer batches are split."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The model's answer for a batch; all of it from one model version."""

    probability: Floats
    """Calibrated probability of fraud, [n]."""
    reason_index: Ints
    """Indices into the feature table, [n, 3], the strongest first; -1 where there is none."""
    reason_contribution: Floats
    """Contribution to the log-odds, [n, 3]; 0 where there is none."""
    model_version: str
    features_version: str
    thresholds: Thresholds

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Pick rows."""
        return replace(
            self,
            probability=self.probability[rows],
            reason_index=self.reason_index[rows],
            reason_contribution=self.reason_contribution[rows],
        )


NO_SCORES: Final = Scores(
    np.zeros(0),
    np.zeros((0, 3), np.int32),
    np.zeros((0, 3)),
    "none",
    "none",
    Thresholds(review=1.0, decline=1.0),
)
"""Scores of no rows: no request is needed."""


class ModelClient:
    """Scores feature vectors at the model server.

    Parameters
    ----------
    settings
        Where and how long.
    features_version
        Feature table of the vectors; answers of a model trained with another one are refused. By default
        that of the deployment's schema.
    transport
        Replaces the network.
    clock, sleep, draw
        Replace the monotonic clock, the wait (both in seconds) and the random number in [0, 1).
    """

    def __init__(
        self,
        settings: ModelClientSettings,
        *,
        features_version: str | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_cooldown_s, clock)
        self._settings = settings
        if features_version is None:
            features_version = deployed_schema().features_version
        self._features_version = features_version
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._path = f"/v2/models/{settings.name}/infer"
        self._http = httpx.Client(
            base_url=settings.url, transport=transport, timeout=settings.timeout_s, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the server answers and has a model loaded."""
        try:
            return self._http.get(f"/v2/models/{self._settings.name}/ready").is_success
        except httpx.TransportError:
            return False

    def score(self, vectors: Floats, reasons_from: float | None = None) -> Scores:
        """Score a batch.

        Parameters
        ----------
        vectors
            Float64 [n, F] in the order of the feature table; NaN is missing. n may be 0.
        reasons_from
            Explain the rows whose probability is at least this; None: explain none.

        Returns
        -------
        Scores
            In the order of the rows.

        Raises
        ------
        Unavailable
            No answer within the deadline, or the breaker is open: fall back.
        BadModel
            The server refuses the vectors or serves another feature table: retrying cannot help.
        """
        give_up_at = self._clock() + self._settings.deadline_s
        starts = range(0, max(len(vectors), 1), self._settings.max_rows)
        for _ in range(self._settings.retries + 1):
            call = f"{random.getrandbits(64):x}"
            parts = [
                self._request(
                    vectors[start : start + self._settings.max_rows], reasons_from, give_up_at, call
                )
                for start in starts
            ]
            if len({part.model_version for part in parts}) == 1:
                return join_scores(parts)
        raise Unavailable("the model server changed its model during every attempt")

    def _request(self, vectors: Floats, reasons_from: float | None, give_up_at: float, call: str) -> Scores:
        body, json_length = encode_request(vectors, reasons_from)
        headers = {"content-type": "application/octet-stream", JSON_LENGTH: str(json_length), CALL: call}
        if trace := traces.parent():
            headers[traces.HEADER] = trace
        failure: Exception = Unavailable("the deadline has passed")
        for retry in range(self._settings.retries + 1):
            left_s = min(self._settings.timeout_s, give_up_at - self._clock())
            if left_s <= 0.0:
                break
            if not self.breaker.allows():
                raise Unavailable("the model server keeps failing; the circuit breaker is open")
            try:
                timed = headers | {TIMEOUT: f"{left_s:.4f}"}
                content, response_headers = self._attempt(body, timed, left_s)
            except BadModel:
                self.breaker.record(is_success=True)  # it answers, so it is there
                raise
            except (Unavailable, httpx.TransportError) as error:
                self.breaker.record(is_success=False)
                failure = error
            else:
                self.breaker.record(is_success=True)
                return self._check(decode_response(content, response_headers, len(vectors)))
            ceiling = min(self._settings.backoff_s * 2**retry, self._settings.backoff_max_s)
            wait_s = self._draw() * ceiling
            if retry == self._settings.retries or self._clock() + wait_s >= give_up_at:
                break
            self._sleep(wait_s)
        raise Unavailable(f"the model server did not answer in time: {failure}") from failure

    def _attempt(self, body: bytes, headers: dict[str, str], left_s: float) -> tuple[bytes, httpx.Headers]:
        stop_at = self._clock() + left_s
        chunks: list[bytes] = []
        with self._http.stream("POST", self._path, content=body, headers=headers, timeout=left_s) as answer:
            for chunk in answer.iter_bytes():
                chunks.append(chunk)
                if self._clock() > stop_at:  # the library's own timeout starts again with each chunk
                    raise Unavailable(f"the answer was not whole after {left_s:.3g} s")
        content = b"".join(chunks)
        if answer.status_code in RETRIED_STATUS:
            raise Unavailable(
                f"the model server answered {answer.status_code}: {content[:300].decode(errors='replace')}"
            )
        if answer.status_code != httpx.codes.OK:
            raise BadModel(f"the model server refused the request: {content[:300].decode(errors='replace')}")
        return content, answer.headers

    def _check(self, scores: Scores) -> Scores:
        if scores.features_version != self._features_version:
            raise BadModel(
                f"the model server serves features {scores.features_version}, "
                f"the vectors are of {self._features_version}"
            )
        return scores


def served_name(alias: str, name: str = "fraud") -> str:
    """Name the path under which the model server serves an alias of the registry.

    Examples
    --------
    >>> served_name("champion"), served_name("challenger")
    ('fraud', 'fraud-challenger')
    """
    return name if alias == "champion" else f"{name}-{alias}"


def encode_request(vectors: Floats, reasons_from: float | None) -> tuple[bytes, int]:
    """Write an inference request: JSON, then the tensor's bytes.

    Returns
    -------
    tuple[bytes, int]
        The body, and how many of its bytes are JSON (the value of the header ``JSON_LENGTH``).
    """
    raw = np.ascontiguousarray(vectors, DTYPES["FP64"]).tobytes()
    parameters: dict[str, Any] = {"binary_data_output": True}
    if reasons_from is not None:
        parameters["reasons_from"] = float(reasons_from)
    tensor = {
        "name": "features",
        "shape": list(vectors.shape),
        "datatype": "FP64",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"parameters": parameters, "inputs": [tensor]}).encode()
    return head + raw, len(head)


def decode_response(content: bytes, headers: httpx.Headers, rows: int) -> Scores:
    """Read an inference response.

    Raises
    ------
    BadModel
        When it is not an answer of our model server for so many rows.
    """
    try:
        json_length = int(headers.get(JSON_LENGTH, len(content)))
        head = json.loads(content[:json_length])
        tensors = _read_tensors(head["outputs"], content[json_length:])
        parameters = head["parameters"]
        scores = Scores(
            probability=tensors["probability"],
            reason_index=tensors.get("reason_index", np.full((rows, 3), -1, np.int32)),
            reason_contribution=tensors.get("reason_contribution", np.zeros((rows, 3))),
            model_version=str(parameters["model_version"]),
            features_version=str(parameters["features_version"]),
            thresholds=Thresholds(
                review=parameters["review_threshold"], decline=parameters["decline_threshold"]
            ),
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BadModel(f"the model server's answer cannot be read: {error!r}") from error
    if scores.probability.shape != (rows,) or scores.reason_index.shape != (rows, 3):
        raise BadModel(f"the model server answered {scores.probability.shape} for {rows} rows")
    return scores


def join_scores(parts: list[Scores]) -> Scores:
    """Put the answers to the pieces of one batch together; they must be of one model version."""
    if len(parts) == 1:
        return parts[0]
    return Scores(
        probability=np.concatenate([part.probability for part in parts]),
        reason_index=np.concatenate([part.reason_index for part in parts]),
        reason_contribution=np.concatenate([part.reason_contribution for part in parts]),
        model_version=parts[0].model_version,
        features_version=parts[0].features_version,
        thresholds=parts[0].thresholds,
    )


def _read_tensors(outputs: list[dict[str, Any]], raw: bytes) -> dict[str, npt.NDArray[Any]]:
    tensors: dict[str, npt.NDArray[Any]] = {}
    start = 0
    for output in outputs:
        dtype = DTYPES[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            flat = np.asarray(output["data"], dtype)
        else:
            flat = np.frombuffer(raw[start : start + size], dtype)
            start += size
        tensors[output["name"]] = flat.reshape(output["shape"])
    return tensors
