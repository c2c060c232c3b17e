"""KServe's protocols for raw transactions: this service as the transformer before the predictor.

v1: ``POST /v1/models/<name>:predict`` with ``{"instances": [transaction, ...]}``. v2:
``POST /v2/models/<name>/infer`` with one tensor ``transactions`` (``services.scoring.tensors``).
Both count the transactions and answer with the decisions.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import orjson

from fraud import __version__
from fraud.contracts import Transaction
from fraud.http.problems import Problem
from services.scoring.batches import Batches, items_of, read_item
from services.scoring.service import Service
from services.scoring.tensors import JSON_LENGTH, describe, read_infer, write_infer
from services.scoring.turns import Turns

JSON: Final = (b"content-type", b"application/json")
BINARY: Final = (b"content-type", b"application/octet-stream")
Headers = list[tuple[bytes, bytes]]


def methods(name: str) -> dict[str, str]:
    """Name the paths of both protocols and their methods."""
    looks = ("/v1/models", f"/v1/models/{name}", "/v2", "/v2/health/live", "/v2/health/ready")
    return {
        **dict.fromkeys((*looks, f"/v2/models/{name}", f"/v2/models/{name}/ready"), "GET"),
        f"/v1/models/{name}:predict": "POST",
        f"/v2/models/{name}/infer": "POST",
    }


class Endpoints:
    """Answers the paths of both protocols.

    Parameters
    ----------
    service
        Does what is asked.
    score
        Answers one transaction.
    batches
        Reads requests.
    turns
        In which transactions are parsed.
    beside
        Asks the store what is no score.
    """

    def __init__(
        self,
        service: Service,
        score: Callable[[Callable[[], Transaction]], Awaitable[bytes]],
        batches: Batches,
        turns: Turns,
        beside: Turns,
    ) -> None:
        self._service, self._batches = service, batches
        self._answer, self._turns, self._beside = score, turns, beside
        self._name = service.settings.name

    async def answer(
        self, path: str, headers: dict[bytes, bytes], body: bytes, client: str
    ) -> tuple[Headers, bytes]:
        """Answer a request to one of :func:`methods`.

        Raises
        ------
        Problem
            In words; of several transactions, the first problem.
        """
        read = self._service.read_transaction
        if path.endswith(":predict"):
            async with self._batches.read(body, client, partial(items_of, "instances")) as (items, _):
                answers = await self._score(
                    [partial(read_item, read, item, f"{at}.") for at, item in enumerate(items)]
                )
            return [JSON], b'{"predictions":[' + b",".join(answers) + b"]}"
        if path.endswith("/infer"):
            find = partial(read_infer, headers.get(JSON_LENGTH))
            async with self._batches.read(body, client, find) as (texts, wanted):
                answers = await self._score([partial(read, text, f"{at}.") for at, text in enumerate(texts)])
            written, length = write_infer(self._name, wanted, answers)
            return ([JSON] if length is None else [BINARY, (JSON_LENGTH, str(length).encode())]), written
        return [JSON], await self._look(path)

    async def _look(self, path: str) -> bytes:
        name = self._name
        if path in {f"/v1/models/{name}", f"/v2/models/{name}/ready"}:
            return await self._beside.run(self._whole)
        if path == "/v2/health/ready":
            self._service.see_that_it_takes_requests()
            return b'{"ready":true}'
        if path == "/v2/health/live":
            return b'{"live":true}'
        if path == "/v2":
            content = {"name": "fraud-scoring", "version": __version__, "extensions": ["binary_tensor_data"]}
            return orjson.dumps(content)
        if path == "/v1/models":
            return orjson.dumps({"models": [name]})
        return orjson.dumps(describe(name))

    def _whole(self) -> bytes:
        if not self._service.is_whole():
            away = "no model is loaded, or the feature store is away"
            raise Problem(503, f"{self._service.states.problem or away}: answers are degraded", (), 1)
        return orjson.dumps({"name": self._name, "ready": True})

    async def _score(self, reads: list[Callable[[], Transaction]]) -> list[bytes]:
        """Score all or, where one is wrong, none."""
        records = [await self._turns.run(read, is_of_batch=True) for read in reads]
        return [await self._answer(lambda record=record: record) for record in records]  # type: ignore[misc]
