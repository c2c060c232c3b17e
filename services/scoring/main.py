"""Entry of the scoring service: ``python -m services.scoring.main``.

KServe starts a transformer with ``--model_name``, ``--predictor_host``, ``--predictor_use_ssl`` and
``--http_port``; they precede the environment, and with a predictor's host the model server gives the scores.
"""

import argparse
import gc
import logging
import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import uvicorn

from fraud.errors import BadModel, BadState, FraudError
from fraud.features import kernel
from fraud.features.passes import entity_names, keys_of_event, passes_of_schema
from fraud.http.server import Bounds, bounded
from fraud.runtime.standby import wait_for_turn
from fraud.runtime.telemetry import configure_logging
from fraud.runtime.traces import open_traces
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import open_store
from fraud.store.check import misfit
from services.scoring.api.app import App
from services.scoring.fold import folds_of
from services.scoring.models import Model, RegisteredModel, open_model
from services.scoring.service import Service, hurried
from services.scoring.settings import ScoringSettings

SWITCH_S: Final = 0.0005


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the settings and serve until told to end."""
    configure_logging()
    try:
        settings, schema = ScoringSettings(**given(arguments)), deployed_schema()
        warm_up(schema)
        traces = open_traces("fraud-scoring")
        app = App(Service(settings, _stand_by(settings, schema), schema=schema, traces=traces))
    except FraudError as error:
        sys.exit(f"error: {error}")
    # The outbox and the registry's watcher are threads beside the event loop: one of them must not keep it
    # waiting for the usual 5 ms.
    sys.setswitchinterval(SWITCH_S)
    # What was loaded lives as long as the process: out of the collector's sight, its pauses stay short.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        lifespan="on",
        backlog=1024,
        timeout_graceful_shutdown=10,
        ws="none",
        http=bounded(bounds_of(settings)),
    )


def bounds_of(settings: ScoringSettings) -> Bounds:
    """Take the server's bounds from the settings."""
    return Bounds(
        connections=settings.max_connections,
        connections_of_one=settings.max_connections_of_one,
        message_bytes=2 * settings.max_body_bytes + 100_000,
        head_s=settings.head_s,
        body_s=settings.body_s,
        answer_s=settings.body_s,
        idle_s=settings.keep_alive_s,
        connection_s=settings.connection_s,
    )


def given(arguments: Sequence[str] | None) -> dict[str, Any]:
    """Read KServe's arguments for a transformer; others are ignored, as it may give more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_name")
    parser.add_argument("--predictor_host")
    parser.add_argument("--predictor_use_ssl", type=lambda text: text.lower() in {"1", "true", "yes"})
    parser.add_argument("--http_port", type=int)
    found, _ = parser.parse_known_args(arguments)
    chosen: dict[str, Any] = {}
    if found.model_name:
        chosen["name"] = found.model_name
    if found.http_port is not None:
        chosen["port"] = found.http_port
    if found.predictor_host:
        host = found.predictor_host
        chosen["model_from"] = "predictor"
        scheme = "https" if found.predictor_use_ssl else "http"
        chosen["predictor_url"] = host if "://" in host else f"{scheme}://{host}"
    return chosen


def _stand_by(settings: ScoringSettings, schema: Schema) -> Model | None:
    """Load the model beside a predecessor, and wait until that has ended.

    Raises
    ------
    BadState
        When the store is of another schema: the predecessor, which fits it, goes on.
    BadModel
        When the registry gives no model that fits the schema.
    """
    if settings.start_after is None:
        return None
    model = open_model(settings, schema=schema)
    if isinstance(model, RegisteredModel):
        model.look()
    if not settings.start_unchecked:
        _check_successor(settings, schema, model)
    wait_for_turn(settings.start_after)
    return model


def _check_successor(settings: ScoringSettings, schema: Schema, model: Model) -> None:
    passes = passes_of_schema(schema)
    with open_store(hurried(settings.store_url, settings.store_timeout_s), entity_names(passes)) as store:
        if problem := misfit(store, passes):
            raise BadState(problem)
    if not model.is_ready():
        raise BadModel(
            f"{settings.model} gives no model that fits the schema {schema.name!r}; the lines above say why. "
            "Train one (`fraud train`), or change the schema with `fraud roll`"
        )


def warm_up(schema: Schema) -> None:
    """Load the compiled fold before the first request needs it."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    passes = passes_of_schema(schema)
    event, vector = np.ones((1, passes[0].events.width)), np.empty((1, passes[-1].end))
    event[0, kernel.E_KIND] = kernel.KIND_TRANSACTION
    for fold in folds_of(passes):
        fold.fold(event, dict.fromkeys(keys_of_event(passes, event[0])), vector, {})


if __name__ == "__main__":
    main()
