"""What the endpoints do, without HTTP: scoring, its degradation, lookups, readiness."""

import hashlib
import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from fraud.contracts import Transaction, bounds_of, check_future, contracts_of
from fraud.contracts.priced import priced
from fraud.decide.experiment import Alias, ExperimentFile
from fraud.decide.list_log import Follow
from fraud.decide.live_lists import LiveLists
from fraud.decide.rules import RuleFile
from fraud.errors import BadRecord, BadState, Unavailable
from fraud.features.passes import (
    age_columns,
    entity_names,
    feature_names,
    passes_of_schema,
)
from fraud.http.problems import Problem, of_record
from fraud.kafka.producer import Producer, ProducerSettings, Sender
from fraud.kafka.rates import RateFeed
from fraud.model.breaker import CircuitBreaker
from fraud.money import NO_RATES
from fraud.rules.published import open_published
from fraud.runtime.threads import Watch, ended_threads
from fraud.runtime.traces import NO_TRACES, Traces
from fraud.runtime.waiting import wait_until
from fraud.schema.deployed import deployed_schema, rates_file
from fraud.schema.fields import MONEY_NAMES
from fraud.schema.schema import Schema
from fraud.store import FeatureStore, open_store
from fraud.store.ring import is_sharded, urls_of
from services.scoring import metrics
from services.scoring.api.bodies import parse
from services.scoring.decide import Decider, vector_without_store
from services.scoring.experiment import RunningExperiment
from services.scoring.feedback.labels import Labels
from services.scoring.feedback.profiles import Profiles
from services.scoring.models import Model, open_model
from services.scoring.outbox import Outbox, hand_to_stream
from services.scoring.records import AnswerWriter, now
from services.scoring.scorer import Conflict, EntityBusy, Scorer
from services.scoring.settings import ScoringSettings
from services.scoring.states import States

_RECORDED: Final = set(MONEY_NAMES)
"""What the stream makes itself of a transaction."""
MOST_ID: Final = 64
"""Characters of an id, as of the contract."""
AWAY_S: Final = 10.0
"""How long a dependency counts as unavailable after a request that it did not take, seconds."""
LISTS_LOOK_S: Final = 0.5
"""Between two looks at the lists' topic, seconds."""
log = logging.getLogger(__name__)


class Service:
    """All parts of the service, wired.

    Parameters
    ----------
    settings
        Of the service.
    model, challenger, kafka, rules, store, rates, follow, traces
        By default those of the settings.
    clock
        Seconds.
    schema
        Of the transactions; by default the deployment's.

    Raises
    ------
    BadConfig, Unavailable
        When it cannot start.
    """

    def __init__(
        self,
        settings: ScoringSettings,
        model: Model | None = None,
        challenger: Model | None = None,
        *,
        schema: Schema | None = None,
        kafka: Sender | None = None,
        rules: RuleFile | None = None,
        store: FeatureStore | None = None,
        rates: RateFeed | None = None,
        follow: Follow | None = None,
        traces: Traces = NO_TRACES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._refused_at = self._without_store_at = -math.inf
        self.schema = schema = schema or deployed_schema()
        passes = passes_of_schema(schema)
        self.settings = settings
        self.traces = traces
        self._names, self._ages = feature_names(passes), age_columns(passes)
        self.model = model or open_model(settings, schema=schema)
        self.rules = rules or RuleFile(settings.rules_file, source=open_published(settings), schema=schema)
        self._refused = ""
        self.store: FeatureStore = store or open_store(
            hurried(settings.store_url, settings.store_timeout_s), entity_names(passes)
        )
        self.kafka = kafka or Producer(
            ProducerSettings(
                bootstrap=settings.kafka_bootstrap,
                options=settings.kafka_options,
                delivery_timeout_s=settings.kafka_timeout_s,
            )
        )
        self.experiment = open_experiment(settings, schema, challenger)
        self.rates = rates or open_rates(settings, schema)
        self.lists = LiveLists(
            self.kafka, settings.kafka_bootstrap, settings.kafka_options, settings.lists_folder, follow
        )
        self.decider = Decider(
            self.model,
            self.rules,
            with_reasons=settings.reasons,
            experiment=self.experiment,
            lists=self.lists,
            names=self._names,
            schema=schema,
        )
        self.scorer = Scorer(self.store, self.decider, settings.attempts, passes, schema)
        self.outbox = Outbox(settings, self.store, self.kafka, traces, schema)
        self._ahead = bounds_of(schema, settings.most_ahead_s)
        self.labels = Labels(self.scorer, self.kafka, settings, schema)
        self.profiles = Profiles(self.kafka, self._ahead, schema)
        self._request, self._answers = contracts_of(schema).request, AnswerWriter(schema)
        self._breaker = CircuitBreaker(failures=3, cooldown_s=1.0)
        self._kafka_breaker = CircuitBreaker(failures=3, cooldown_s=2.0 * settings.kafka_timeout_s)
        self._salt = settings.log_salt or secrets.token_hex()
        self.states = States(self.store, self._mask, passes, schema)
        self.states.look()
        every_s = settings.rules_look_s
        self._watches = (
            Watch("rules", self._look_at_rules, every_s),
            Watch("lists", self._look_at_lists, min(every_s, LISTS_LOOK_S)),
            Watch("experiment", self._look_at_experiment, every_s),
            Watch("labels", self._look_at_labels, every_s),
            Watch("store", self.states.look, every_s),
            *([Watch("rates", self.rates.look, every_s)] if self.rates else []),
        )
        metrics.name_rules(self.rules.rules)

    @property
    def is_local(self) -> bool:
        """Whether a score takes no call over a network, so that a thread for it would only cost."""
        return self.model.is_local and self.settings.store_url.startswith("lmdb:")

    def start(self) -> None:
        """Begin to follow the model and the rules, and to empty the outbox; wait a while for a model."""
        self.model.start()
        if self.experiment:
            self.experiment.look()
        wait_until(self.model.is_ready, self.settings.model_wait_s)
        self._look_at_lists()
        self.outbox.start()
        if self.rates:
            self.rates.look()
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """End, after what waits for Kafka was carried over as far as it goes."""
        for watch in self._watches:
            watch.stop()
        self.outbox.stop()
        self.model.stop()
        if self.experiment:
            self.experiment.stop()
        self.labels.close()
        if self.rates:
            self.rates.close()
        self.lists.close()
        self.store.close()
        self.traces.close()

    def read_transaction(self, raw: bytes, prefix: str = "") -> Transaction:
        """Read one transaction of a request; every endpoint reads its transactions here.

        Parameters
        ----------
        raw
            JSON.
        prefix
            Before the field's name in a problem, e.g. ``3.`` for the fourth of several.

        Raises
        ------
        Problem
            400, 413 or 422: it is not what the contract says, or dated into the future.
        """
        record = parse(self._request, raw, prefix)
        at = now()
        try:
            check_future(record, at, self._ahead)
            rates = self.rates.rates if self.rates else NO_RATES
            record = priced(record, self.schema, rates, at)
        except BadRecord as error:
            raise of_record(error, prefix) from error
        return record

    def score(self, record: Transaction) -> bytes:
        """Answer one transaction; empty where the store does not: then :meth:`score_without_store`.

        Raises
        ------
        Problem
            409, 429 or 503.
        """
        try:
            self.see_that_it_takes_requests()
        except Problem:
            metrics.SHED.labels("outbox").inc()
            raise
        if self.states.problem or not self._breaker.allows():
            return b""
        try:
            is_log_away = self.outbox.is_unavailable
            scored = self.scorer.score(record, ("log",) if is_log_away else ())
        except Conflict as error:
            self._breaker.record(is_success=True)
            raise Problem(409, str(error)) from error
        except EntityBusy as error:
            self._breaker.record(is_success=True)
            metrics.SHED.labels("busy").inc()
            raise Problem(429, str(error), (), 1) from error
        except BadState as error:
            self._breaker.record(is_success=True)
            self.states.meet(record, error)
            return b""
        except Unavailable as error:
            self._breaker.record(is_success=False)
            masked = self._mask(record.transaction_id)
            log.warning("transaction %s without the store: %s", masked, error, extra={"transaction": masked})
            return b""
        self._breaker.record(is_success=True)
        self._refused_at = self._without_store_at = -math.inf
        if is_log_away:
            metrics.DEGRADED.labels("log").inc()
        return scored.body

    def score_without_store(self, record: Transaction) -> bytes:
        """Decide by the transaction alone, and let the stream count it; waits for Kafka.

        Raises
        ------
        Problem
            503.
        """
        self._without_store_at = self._clock()
        raw = record.model_dump_json(exclude_none=True, exclude=_RECORDED).encode()
        if not self._kafka_breaker.allows():
            raise self._unavailable("neither the feature store nor Kafka answers")
        try:
            hand_to_stream(self.kafka, self.schema.primary_of(record), raw)
        except Unavailable as error:
            self._kafka_breaker.record(is_success=False)
            raise self._unavailable(str(error)) from error
        self._kafka_breaker.record(is_success=True)
        metrics.DEGRADED.labels("store").inc()
        vector = vector_without_store(record, self.schema)
        decided = self.decider.decide(record, vector, ("store",))
        metrics.count_decision(decided.outcome, decided.score, vector, self._ages)
        return self._answers.answer(record, decided, now())

    def find(self, transaction_id: str) -> dict[str, Any]:
        """Look up what was answered, with all that it was made of.

        Raises
        ------
        Problem
            404 or 503.
        """
        try:
            found = self.scorer.find(transaction_id) if 1 <= len(transaction_id) <= MOST_ID else None
        except Unavailable as error:
            raise Problem(503, "the feature store is unavailable; retry after 1 s", (), 1) from error
        if found is None:
            raise Problem(
                404,
                "no transaction of this id was scored here in the last days; older ones, and those of the "
                "stream, are in the Delta tables decisions and features",
            )
        record: dict[str, Any] = orjson.loads(found.record)
        record["degraded"] = orjson.loads(found.body)["degraded"] if found.body else []
        return record

    def answers_in_full(self) -> bool:
        """Whether no answer is degraded: the model is loaded, the store answers and took the last request."""
        if self._clock() - self._without_store_at < AWAY_S:
            return False
        try:
            return self.model.is_ready() and bool(self.store.identity()) and not self.states.problem
        except Unavailable:
            return False

    def see_that_it_takes_requests(self) -> None:
        """Refuse where a request would be refused whatever it holds.

        Without its model or the store it still decides; if it refused, no replica would.

        Raises
        ------
        Problem
            503.
        """
        if self.outbox.is_full:
            raise Problem(
                503, "the outbox is full: too many decisions wait for Kafka; retry after 1 s", (), 5
            )

    def see_that_it_is_ready(self) -> None:
        """Refuse where no request should come: another replica may answer it.

        It refuses for some seconds after a request that neither store nor Kafka took, and for good where a
        thread has ended: only a new start brings that back.

        Raises
        ------
        Problem
            503.
        """
        self.see_that_it_takes_requests()
        if self._clock() - self._refused_at < AWAY_S:
            away = "neither the feature store nor Kafka has taken the last request"
            raise Problem(503, "; ".join(filter(None, (away, self.states.problem))), (), 2)
        if missing := ended_threads():
            raise Problem(503, f"threads have ended: {', '.join(missing)}; restart the service", (), 5)

    def _unavailable(self, detail: str) -> Problem:
        metrics.SHED.labels("unavailable").inc()
        self._refused_at = self._clock()
        return Problem(503, detail, (), 2)

    def _look_at_rules(self) -> None:
        if self.rules.look():
            metrics.name_rules(self.rules.rules)
            log.info("rules %s are in force", self.rules.rules.version)
        refused = self.rules.refused
        if refused and refused != self._refused:
            log.error("the rules stay as they were: %s", refused)
        self._refused = refused
        metrics.RULES_REFUSED.set(bool(refused))

    def _look_at_lists(self) -> None:
        if self.rules.rules.live_lists:
            self.lists.look()
            metrics.LISTS_UNAVAILABLE.set(bool(self.lists.trouble))
            metrics.LISTS_BAD.set(self.lists.bad_records)

    def _look_at_experiment(self) -> None:
        if self.experiment:
            self.experiment.look()

    def _look_at_labels(self) -> None:
        self.labels.resolve()

    def _mask(self, text: str) -> str:
        """Make an id fit for logs: the same id reads the same, and says nothing."""
        return hashlib.blake2b(text.encode(), key=self._salt.encode()[:64], digest_size=6).hexdigest()


def open_experiment(
    settings: ScoringSettings, schema: Schema, challenger: Model | None = None
) -> RunningExperiment | None:
    """Open the experiment of the settings; without one, no other model is loaded.

    Raises
    ------
    BadConfig
        When the definition is wrong.
    """
    if settings.experiment_file is None:
        return None
    file = ExperimentFile(settings.experiment_file)
    return RunningExperiment(file, challenger or open_model(settings, Alias.CHALLENGER, schema))


def open_rates(settings: ScoringSettings, schema: Schema) -> RateFeed | None:
    """Open the reference rates; None where the schema has no money.

    Raises
    ------
    BadConfig
        When their file is wrong.
    """
    money = schema.money
    if money is None:
        return None
    return RateFeed(money.base, rates_file(), settings.kafka_bootstrap, settings.kafka_options)


def hurried(store_url: str, timeout_s: float) -> str:
    """Bound each call to a store over a network, where its URL does not; it is tried twice.

    Examples
    --------
    >>> hurried("redis://store:6379/0?prefix=fraud", 0.5)
    'redis://store:6379/0?prefix=fraud&socket_timeout=0.5&socket_connect_timeout=0.5&retries=1'
    >>> hurried("lmdb:///store", 0.5)
    'lmdb:///store'
    >>> hurried("redis://a/0?retries=2 redis://b/0?socket_timeout=1", 0.5).split()[1]
    'redis://b/0?socket_timeout=1'
    """
    if is_sharded(store_url):
        return " ".join(hurried(one, timeout_s) for one in urls_of(store_url))
    if store_url.startswith("lmdb:") or "socket_timeout" in store_url:
        return store_url
    mark = "&" if "?" in store_url else "?"
    return f"{store_url}{mark}socket_timeout={timeout_s}&socket_connect_timeout={timeout_s}&retries=1"
