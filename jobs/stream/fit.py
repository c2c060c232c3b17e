"""Whether the schema fits what is there: asked at each start, and before a running stream is replaced.

Reads the feature store, the table of transactions and the model server.
"""

from contextlib import suppress
from typing import Final

import httpx
import numpy as np

from fraud.errors import BadModel, BadState, Unavailable
from fraud.features.passes import entity_names, passes_of_schema
from fraud.log.mark import RebuildMark
from fraud.log.money import see_that_money_is_the_same
from fraud.model.client import ModelClient, ModelClientSettings
from fraud.schema.schema import Schema
from fraud.store import FeatureStore, open_store
from fraud.store.check import misfit
from jobs.stream.settings import StreamSettings

ANSWER_S: Final = 5.0
"""How long the model server may take to say which features its model reads, seconds."""


def open_fitting_store(settings: StreamSettings, schema: Schema) -> FeatureStore:
    """Open the stream's feature store.

    Raises
    ------
    BadConfig
        When the tables count amounts otherwise.
    BadState
        When its states are of another schema, or its rebuild has not finished; says what to do.
    """
    if RebuildMark(settings.rebuild_mark).read() is not None:
        raise BadState(
            "the rebuild of the feature store has not finished: "
            "run `fraud replay rebuild-store --replace` to its end"
        )
    see_that_money_is_the_same(settings.delta_path, schema, settings.delta_options)
    passes = passes_of_schema(schema)
    store = open_store(settings.store, entity_names(passes))
    if problem := misfit(store, passes):
        store.close()
        raise BadState(problem)
    return store


def check_successor(
    settings: StreamSettings, schema: Schema, transport: httpx.BaseTransport | None = None
) -> None:
    """Refuse to take a running stream's place with a schema that store, tables or model do not fit.

    Parameters
    ----------
    settings, schema
        As of the job.
    transport
        Replaces the network to the model server.

    Raises
    ------
    BadConfig, BadState
        As :func:`open_fitting_store` does.
    BadModel
        When the model server answers, and its model reads other features.
    """
    open_fitting_store(settings, schema).close()
    of = ModelClientSettings(url=settings.predictor_url, deadline_s=ANSWER_S, timeout_s=ANSWER_S)
    vectors = np.full((1, len(schema.features)), np.nan)
    with (
        ModelClient(of, features_version=schema.features_version, transport=transport) as client,
        suppress(Unavailable),  # without a model, the fallback decides
    ):
        try:
            client.score(vectors)
        except BadModel as error:
            raise BadModel(
                f"the model in force does not fit the schema {schema.name!r}: {error}. Train one (`fraud "
                "train`), then `fraud roll FILE --model VERSION`"
            ) from error
