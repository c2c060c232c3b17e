"""KServe's protocols for raw transactions: this service as the transformer before the predictor.

v1: ``POST /v1/models/<name>:predict`` with ``{"instances": [transaction, ...]}``. v2:
``POST /v2/models/<name>/infer`` with one tensor ``transactions``, BYTES [n], each a transaction as JSON.
Both count the transactions and answer with the decisions.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from pydantic import ValidationError

from fraud import __version__
from fraud.contracts import Transaction
from fraud.http.problems import Problem, of_validation
from services.scoring.records import TransactionRequest
from services.scoring.service import Service
from services.scoring.turns import Turns

INPUT: Final = "transactions"


class Endpoints:
    """Answers the paths of both protocols.

    Parameters
    ----------
    service
        Does what is asked.
    score
        Answers one transaction.
    beside
        Asks the store what is no score.
    """

    def __init__(
        self, service: Service, score: Callable[[Transaction], Awaitable[bytes]], beside: Turns
    ) -> None:
        self._service = service
        self._answer, self._beside = score, beside
        self._name = service.settings.name
        self._most = service.settings.max_batch

    async def answer(self, method: str, path: str, body: bytes) -> bytes:
        """Answer one request.

        Raises
        ------
        Problem
            In words; of several transactions, the first problem.
        """
        name = self._name
        if method == "POST" and path == f"/v1/models/{name}:predict":
            answers = await self._score(_instances(_load(body)))
            return b'{"predictions":[' + b",".join(answers) + b"]}"
        if method == "POST" and path == f"/v2/models/{name}/infer":
            request = _load(body)
            return self._as_tensors(request, await self._score(_tensor(request)))
        if method == "GET":
            return await self._look(path)
        raise Problem(404, f"there is no such path, or no such model: the model is {name!r}")

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
            return orjson.dumps({"name": "fraud-scoring", "version": __version__, "extensions": []})
        if path == "/v1/models":
            return orjson.dumps({"models": [name]})
        if path == f"/v2/models/{name}":
            return orjson.dumps(_metadata(name))
        raise Problem(404, f"there is no such path, or no such model: the model is {name!r}")

    def _whole(self) -> bytes:
        if not self._service.is_whole():
            raise Problem(
                503, "no model is loaded, or the feature store is away: answers are degraded", (), 1
            )
        return orjson.dumps({"name": self._name, "ready": True})

    async def _score(self, items: list[bytes]) -> list[bytes]:
        if not 1 <= len(items) <= self._most:
            raise Problem(422, f"1 to {self._most} transactions are needed")
        records = []
        for at, raw in enumerate(items):
            try:
                records.append(TransactionRequest.model_validate_json(raw))
            except ValidationError as error:
                raise of_validation(error, f"{at}.") from error
        return [await self._answer(record) for record in records]

    def _as_tensors(self, request: dict[str, Any], answers: list[bytes]) -> bytes:
        found = [orjson.loads(answer) for answer in answers]
        shape = [len(found)]
        scores = [one["score"] if one["score"] is not None else -1.0 for one in found]
        outputs = [
            {
                "name": "outcome",
                "datatype": "BYTES",
                "shape": shape,
                "data": [one["outcome"] for one in found],
            },
            {"name": "probability", "datatype": "FP64", "shape": shape, "data": scores},
            {
                "name": "decision",
                "datatype": "BYTES",
                "shape": shape,
                "data": [answer.decode() for answer in answers],
            },
        ]
        content: dict[str, Any] = {"model_name": self._name, "outputs": outputs}
        if isinstance(request.get("id"), str):
            content["id"] = request["id"]
        return orjson.dumps(content)


def _load(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Problem(422, "the body must be an object")
    return content


def _instances(content: dict[str, Any]) -> list[bytes]:
    items = content.get("instances")
    if not isinstance(items, list):
        raise Problem(422, "instances: a list of transactions is needed")
    return [orjson.dumps(item) for item in items]


def _tensor(content: dict[str, Any]) -> list[bytes]:
    inputs = content.get("inputs")
    expected = f"inputs: one tensor {INPUT!r}, BYTES [n], of transactions as JSON is needed"
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(422, expected)
    tensor = inputs[0]
    data = tensor.get("data")
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES" or not isinstance(data, list):
        raise Problem(422, expected)
    if tensor.get("shape") != [len(data)] or not all(isinstance(item, str) for item in data):
        raise Problem(422, expected)
    return [item.encode() for item in data]


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "platform": "fraud-scoring",
        "versions": [],
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "outcome", "datatype": "BYTES", "shape": [-1]},
            {"name": "probability", "datatype": "FP64", "shape": [-1]},
            {"name": "decision", "datatype": "BYTES", "shape": [-1]},
        ],
    }
