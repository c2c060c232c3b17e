"""Servers to compare the scoring service with: they score vectors, without features, state or decisions.

``python -m fraud.tools.bench.score_servers fastapi|kserve PORT FOLDER``: a plain FastAPI with the booster,
and KServe's model server with the booster as its LightGBM runtime (lgbserver, which is published as an image
only) calls it: SDK, v1 protocol, one thread a prediction.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from fraud.model.card import read_model


def serve_fastapi(port: int, folder: Path) -> None:
    """Serve as most first versions do."""
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415

    model, app = read_model(folder), FastAPI()

    @app.post("/v1/models/fraud:predict")
    async def predict(body: dict[str, Any]) -> dict[str, list[float]]:
        vectors = np.array(body["instances"], np.float64)
        return {"predictions": model.predict(vectors).tolist()}

    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


def serve_kserve(port: int, folder: Path) -> None:
    """Serve as KServe's own LightGBM server does."""
    import kserve  # noqa: PLC0415
    from kserve.utils.utils import get_predict_input, get_predict_response  # noqa: PLC0415

    booster = read_model(folder).booster

    class Stock(kserve.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("fraud")
            self.ready = True

        def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
            del headers, response_headers
            scores = booster.predict(get_predict_input(payload), num_threads=1)
            return get_predict_response(payload, scores, self.name)

    server = kserve.ModelServer(http_port=port, workers=1, enable_grpc=False, access_log_format="")
    server.start([Stock()])


if __name__ == "__main__":
    {"fastapi": serve_fastapi, "kserve": serve_kserve}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
