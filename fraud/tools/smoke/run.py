"""Sends transactions to a running platform and waits for their decisions.

Writes the topic ``transactions``, reads ``decisions``, asks the model server; prints its account as one line
of JSON and ends with code 0 only if every transaction was decided.
"""

import logging
import time
from typing import Any, Final

import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition

from fraud.contracts import DECISIONS, Decision
from fraud.errors import Unavailable
from fraud.kafka.counting import ProducerSettings
from fraud.synthetic.generate import generate
from fraud.synthetic.pace import Constant
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.smoke.account import Account
from fraud.tools.smoke.settings import SmokeSettings
from services.simulator import stream

log = logging.getLogger("fraud.tools.smoke")
_ANSWER_S: Final = 15.0
"""How long a broker or the model server may take for one answer."""


def run(settings: SmokeSettings) -> Account:
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
    data = generate(GeneratorSettings(transactions=size, users=max(20, size // 10), merchants=50, seed=seed))
    consumer = open_at_end(settings)
    account = Account(frozenset(data.transactions.column("transaction_id").to_pylist()))
    try:
        stream.play(
            data.transactions,
            None,
            ProducerSettings(bootstrap=settings.kafka_bootstrap, options=settings.kafka_options),
            Constant(settings.rate_per_s),
        )
        give_up = time.monotonic() + settings.wait_s
        while not account.is_whole and time.monotonic() < give_up:
            for message in consumer.consume(1_000, timeout=1.0):
                if message.error() is None:
                    account.take(Decision.model_validate_json(message.value()))
    finally:
        consumer.close()
    return account


def open_at_end(settings: SmokeSettings) -> Any:
    """Open the topic of decisions where it ends now."""
    consumer = Consumer(
        {
            **settings.kafka_options,
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "fraud-smoke",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "latest",
        }
    )
    try:
        found = consumer.list_topics(DECISIONS, timeout=_ANSWER_S).topics[DECISIONS]
        positions = []
        for partition in found.partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(DECISIONS, partition), timeout=_ANSWER_S)
            positions.append(TopicPartition(DECISIONS, partition, end))
    except KafkaException as error:
        raise Unavailable(f"the brokers at {settings.kafka_bootstrap} do not answer: {error}") from error
    consumer.assign(positions)
    return consumer


def await_predictor(url: str, patience_s: float) -> None:
    """Wait until the model server is ready.

    Raises
    ------
    Unavailable
        When it is not, in time.
    """
    give_up = time.monotonic() + patience_s
    while True:
        try:
            answer = httpx.get(f"{url}/v2/models/fraud/ready", timeout=_ANSWER_S, trust_env=False)
            said = f"status {answer.status_code}"
            if answer.is_success:
                return
        except httpx.HTTPError as error:
            said = str(error)
        if time.monotonic() >= give_up:
            raise Unavailable(f"the model server at {url} is not ready: {said}")
        time.sleep(1.0)
