"""KServe's protocols for raw transactions: this service as the transformer before the predictor.

v1: ``POST /v1/models/<name>:predict`` with ``{"instances": [transaction, ...]}``. v2:
``POST /v2/models/<name>/infer`` with one tensor ``transactions`` (``services.scoring.api.tensors``).
Both count the transactions and answer with the decisions.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import orjson

from fraud import __version__
from fraud.contracts import Transaction
from fraud.http.problems import Problem
from services.scoring.api.batches import Batches, items_of, read_item
from services.scoring.api.bodies import BodyReader
from services.scoring.api.calls import JSON, Act, Answered, Call
from services.scoring.api.request_queue import RequestQueue
from services.scoring.api.tensors import JSON_LENGTH, describe, read_infer, write_infer
from services.scoring.service import Service

BINARY: Final = (b"content-type", b"application/octet-stream")


class Endpoints:
    """Answers the paths of both protocols.

    Parameters
    ----------
    service
        Does what is asked.
    score
        Answers one transaction.
    bodies, batches
        Read requests.
    queue
        In which transactions are parsed.
    side_queue
        Asks the store what is no score.
    """

    def __init__(
        self,
        service: Service,
        score: Callable[[Callable[[], Transaction]], Awaitable[bytes]],
        *,
        bodies: BodyReader,
        batches: Batches,
        queue: RequestQueue,
        side_queue: RequestQueue,
    ) -> None:
        self._service, self._bodies, self._batches = service, bodies, batches
        self._answer, self._queue, self._side_queue = score, queue, side_queue
        self._name = service.settings.name

    def acts(self) -> dict[str, Act]:
        """Name what answers, by the operations of ``services.scoring.api.routes``."""
        return {
            "predict": self._predict,
            "infer": self._infer,
            "v1_models": self._models,
            "v1_model": self._answers_in_full,
            "v2_model_ready": self._answers_in_full,
            "v2_model": self._tensors,
            "v2": self._server,
            "v2_live": self._live,
            "v2_ready": self._ready,
        }

    async def _predict(self, call: Call) -> Answered:
        body, read = await self._bodies.read(call.headers, call.receive), self._service.read_transaction
        async with self._batches.read(body, call.client, partial(items_of, "instances")) as (items, _):
            answers = await self._score(
                [partial(read_item, read, item, f"{at}.") for at, item in enumerate(items)]
            )
        return [JSON], b'{"predictions":[' + b",".join(answers) + b"]}"

    async def _infer(self, call: Call) -> Answered:
        body, read = await self._bodies.read(call.headers, call.receive), self._service.read_transaction
        find = partial(read_infer, call.headers.get(JSON_LENGTH))
        async with self._batches.read(body, call.client, find) as (texts, wanted):
            answers = await self._score([partial(read, text, f"{at}.") for at, text in enumerate(texts)])
        written, length = write_infer(self._name, wanted, answers)
        return ([JSON] if length is None else [BINARY, (JSON_LENGTH, str(length).encode())]), written

    async def _models(self, _call: Call) -> Answered:
        return [JSON], orjson.dumps({"models": [self._name]})

    async def _answers_in_full(self, _call: Call) -> Answered:
        return [JSON], await self._side_queue.run(self._whole)

    async def _tensors(self, _call: Call) -> Answered:
        return [JSON], orjson.dumps(describe(self._name))

    async def _server(self, _call: Call) -> Answered:
        content = {"name": "fraud-scoring", "version": __version__, "extensions": ["binary_tensor_data"]}
        return [JSON], orjson.dumps(content)

    async def _live(self, _call: Call) -> Answered:
        return [JSON], b'{"live":true}'

    async def _ready(self, _call: Call) -> Answered:
        self._service.see_that_it_is_ready()
        return [JSON], b'{"ready":true}'

    def _whole(self) -> bytes:
        if not self._service.answers_in_full():
            away = "no model is loaded, or the feature store is unavailable"
            raise Problem(503, f"{self._service.states.problem or away}: answers are degraded", (), 1)
        return orjson.dumps({"name": self._name, "ready": True})

    async def _score(self, reads: list[Callable[[], Transaction]]) -> list[bytes]:
        """Score all or, where one is wrong, none."""
        records = [await self._queue.run(read, is_of_batch=True) for read in reads]
        return [await self._answer(lambda record=record: record) for record in records]  # type: ignore[misc]
