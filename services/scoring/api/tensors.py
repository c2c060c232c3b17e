"""The tensors of KServe's v2 protocol: transactions in, decisions out, as JSON or in binary.

Binary (the extension ``binary_tensor_data``): the header ``Inference-Header-Content-Length`` tells where the
JSON ends and the tensors' bytes begin; a value of BYTES is its length, 4 bytes little endian, and its bytes.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from fraud.http.problems import Problem
from services.scoring.api.bodies import load

INPUT: Final = "transactions"
OUTPUTS: Final = {"outcome": "BYTES", "probability": "FP64", "decision": "BYTES"}
JSON_LENGTH: Final = b"inference-header-content-length"
EXPECTED: Final = f"inputs: one tensor {INPUT!r}, BYTES [n], of transactions as JSON is needed"
NO_SCORE: Final = -1.0
_SIZE: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class WantedOutputs:
    """Id and output tensors that a request asks for."""

    id: str | None
    outputs: dict[str, bool]
    """Name of each tensor, and whether it is binary."""


def read_infer(length: bytes | None, raw: bytes, most: int) -> tuple[list[bytes], WantedOutputs]:
    """Read a request; ``length`` is the header's, None where all is JSON.

    Raises
    ------
    Problem
        400 or 422.
    """
    end = _end_of_json(length, raw)
    request = load(memoryview(raw)[:end], most)
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(422, EXPECTED)
    tensor = inputs[0]
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise Problem(422, EXPECTED)
    given = _parameters(tensor).get("binary_data_size")
    binary = raw[end:]
    if (given is None and binary) or (given is not None and given != len(binary)):
        raise Problem(422, f"binary_data_size is {given}, and {len(binary)} bytes follow the JSON")
    items = _texts(tensor.get("data")) if given is None else split(binary, most)
    shape = tensor.get("shape")
    if shape != [len(items)]:
        raise Problem(422, f"{EXPECTED}; the shape is {shape}, the values are {len(items)}")
    return items, _wanted(request)


def split(binary: bytes, most: int) -> list[bytes]:
    """Split the bytes of a tensor into its values, at most one more than ``most``.

    Examples
    --------
    >>> split(bytes([1, 0, 0, 0, 65, 0, 0, 0, 0]), 9)
    [b'A', b'']

    Raises
    ------
    Problem
        422 where the last value is cut short.
    """
    items: list[bytes] = []
    at = 0
    while at < len(binary) and len(items) <= most:
        if at + _SIZE.size > len(binary):
            raise Problem(422, f"inputs: the binary tensor ends within the length of value {len(items)}")
        (size,) = _SIZE.unpack_from(binary, at)
        at += _SIZE.size + size
        if at > len(binary):
            raise Problem(422, f"inputs: the binary tensor ends within value {len(items)} of {size} bytes")
        items.append(binary[at - size : at])
    return items


def write_infer(name: str, wanted: WantedOutputs, answers: list[bytes]) -> tuple[bytes, int | None]:
    """Write the answer; returns it with the length of its JSON, None where nothing is binary."""
    found = [orjson.loads(answer) for answer in answers]
    values: dict[str, list[Any]] = {
        "outcome": [one["outcome"] for one in found],
        "probability": [NO_SCORE if one["score"] is None else one["score"] for one in found],
        "decision": [answer.decode() for answer in answers],
    }
    outputs, binary = [], []
    for output, is_binary in wanted.outputs.items():
        described: dict[str, Any] = {"name": output, "datatype": OUTPUTS[output], "shape": [len(found)]}
        if is_binary:
            packed = _pack(values[output], OUTPUTS[output])
            described["parameters"] = {"binary_data_size": len(packed)}
            binary.append(packed)
        else:
            described["data"] = values[output]
        outputs.append(described)
    content: dict[str, Any] = {"model_name": name, "outputs": outputs}
    if wanted.id is not None:
        content["id"] = wanted.id
    head = orjson.dumps(content)
    return b"".join((head, *binary)), len(head) if binary else None


def describe(name: str) -> dict[str, Any]:
    """Describe the tensors."""
    return {
        "name": name,
        "platform": "fraud-scoring",
        "versions": [],
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": output, "datatype": kind, "shape": [-1]} for output, kind in OUTPUTS.items()],
    }


def _end_of_json(length: bytes | None, raw: bytes) -> int:
    if length is None:
        return len(raw)
    if not length.isdigit() or len(length) > 9 or int(length) > len(raw):
        raise Problem(400, f"Inference-Header-Content-Length: 0 to {len(raw)}, the body's length, is needed")
    return int(length)


def _texts(data: Any) -> list[bytes]:
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        raise Problem(422, EXPECTED)
    return [item.encode() for item in data]


def _wanted(request: dict[str, Any]) -> WantedOutputs:
    """Tell which outputs are asked for; all, where none are named."""
    is_binary = _parameters(request).get("binary_data_output") is True
    asked = request.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(asked, list) or not all(map(_is_output, asked)):
        raise Problem(422, f"outputs: a list of {{name: ...}} with names of {', '.join(OUTPUTS)} is needed")
    outputs = {one["name"]: _parameters(one).get("binary_data", is_binary) is True for one in asked}
    return WantedOutputs(request["id"] if isinstance(request.get("id"), str) else None, outputs)


def _is_output(asked: Any) -> bool:
    return isinstance(asked, dict) and isinstance(asked.get("name"), str) and asked["name"] in OUTPUTS


def _parameters(described: dict[str, Any]) -> dict[str, Any]:
    found = described.get("parameters") or {}
    if not isinstance(found, dict):
        raise Problem(422, "parameters: an object is needed")
    return found


def _pack(values: list[Any], datatype: str) -> bytes:
    if datatype == "FP64":
        return np.array(values, "<f8").tobytes()
    texts = [value.encode() for value in values]
    return b"".join(part for text in texts for part in (_SIZE.pack(len(text)), text))
