"""Sends transactions to a running platform and waits for their decisions.

Writes the topic ``transactions``, reads ``decisions``, asks the model server; prints its tally as one line
of JSON and ends with code 0 only if every transaction was decided.
"""

import logging
import time
from typing import Final

import httpx

from fraud.contracts import DECISIONS, Decision
from fraud.errors import Unavailable
from fraud.kafka.producer import ProducerSettings
from fraud.kafka.reader import Reader
from fraud.runtime.waiting import retry
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.pace import Constant
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.smoke.settings import SmokeSettings
from fraud.tools.smoke.tally import Tally
from services.simulator import stream

log = logging.getLogger("fraud.tools.smoke")
_ANSWER_S: Final = 15.0
"""How long a broker or the model server may take for one answer, seconds."""
_PAUSE_S: Final = 1.0
"""Between two questions whether the model server is ready, seconds."""


def run(settings: SmokeSettings) -> Tally:
    """Send transactions and wait for their decisions.

    Raises
    ------
    Unavailable
        When the brokers or the model server do not answer.
    """
    if settings.predictor_url:
        await_predictor(settings.predictor_url, settings.wait_s)
    seed = int(time.time()) if settings.seed is None else settings.seed
    size = settings.transactions
    data = generate(
        GeneratorSettings(transactions=size, users=max(20, size // 10), merchants=50, seed=seed),
        deployed_schema(),
    )
    tally = Tally(frozenset(data.transactions.column("transaction_id").to_pylist()))
    with Reader(
        settings.kafka_bootstrap, settings.kafka_options, name="fraud-smoke", patience_s=_ANSWER_S
    ) as reader:
        reader.begin_at_end(DECISIONS)
        stream.play(
            data.transactions,
            None,
            ProducerSettings(bootstrap=settings.kafka_bootstrap, options=settings.kafka_options),
            Constant(settings.rate_per_s),
        )
        give_up = time.monotonic() + settings.wait_s
        for message in reader.follow(lambda: tally.is_complete or time.monotonic() >= give_up):
            tally.take(Decision.model_validate_json(message.value() or b""))
    return tally


def await_predictor(url: str, patience_s: float) -> None:
    """Wait until the model server is ready.

    Raises
    ------
    Unavailable
        When it is not, in time.
    """

    def ask() -> None:
        httpx.get(f"{url}/v2/models/fraud/ready", timeout=_ANSWER_S, trust_env=False).raise_for_status()

    try:
        retry(ask, httpx.HTTPError, patience_s, pause_s=lambda _: _PAUSE_S)
    except httpx.HTTPError as error:
        raise Unavailable(f"the model server at {url} is not ready: {error}") from error
