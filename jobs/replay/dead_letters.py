"""Sends dead letters to their topics again, after a fix: each at most once.

Reads the Delta table ``dead_letters``; writes the topics ``transactions`` and ``labels`` and the ledger
``dead_letters_resent``. A resent record carries the header ``resent-from`` and gets a new offset; the
stream takes it like any other.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from fraud.contracts import (
    MOST_AHEAD_S,
    SCORED,
    TOO_LARGE,
    Transaction,
    bounds_of,
    check_future,
    contracts_of,
    parse_input,
)
from fraud.contracts.priced import priced
from fraud.errors import BadConfig, BadRecord, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings, Record, open_producer
from fraud.log.arrival import COLUMNS
from fraud.log.slices import slices_of
from fraud.log.tables import NO_OPTIONS, Options, Table, open_table
from fraud.money import NO_RATES, Rates
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from jobs.replay.ledger import SENDING, SENT, Ledger, Origin

NEVER_MENDED: Final = ("duplicate", "forged_record")
"""Reasons that no fix removes."""
BATCH: Final = 5_000
"""Letters written down and sent together."""
FLUSH_S: Final = 60.0
"""How long the brokers may take for a batch, seconds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters to send."""

    reasons: frozenset[str] = frozenset()
    """Of these; empty: of every one but ``NEVER_MENDED``."""
    since: datetime | None = None
    """Received from then on."""
    until: datetime | None = None
    """Received before."""
    even_bad: bool = False
    """Also those that the contracts still refuse, that are still dated into the future, or whose currency
    still has no rate, but not those that are too large; they would only become dead letters again."""
    unconfirmed: bool = False
    """Also those that an interrupted run may have sent."""
    most_ahead_s: float = MOST_AHEAD_S
    """How far a record may be dated ahead of the present, which is when it arrives again, seconds; where the
    schema bounds no source."""

    def takes(self, reason: str, received_at: datetime) -> bool:
        """Whether a letter is among the chosen ones."""
        is_wanted = reason in self.reasons if self.reasons else reason not in NEVER_MENDED
        is_late_enough = self.since is None or received_at >= self.since
        return is_wanted and is_late_enough and (self.until is None or received_at < self.until)


@dataclass(slots=True)
class ResendReport:
    """How many of the chosen dead letters were sent, and how many not, by reason."""

    sent: Counter[str] = field(default_factory=Counter)
    """With a dry run: that would be sent."""
    already_sent: Counter[str] = field(default_factory=Counter)
    unconfirmed: Counter[str] = field(default_factory=Counter)
    """Left alone: an interrupted run may have sent them."""
    still_bad: Counter[str] = field(default_factory=Counter)
    """Left alone: the stream would refuse them again."""
    why: dict[str, str] = field(default_factory=dict)
    """By reason: why the stream would refuse the first one of ``still_bad`` today."""


@dataclass(frozen=True, slots=True)
class _Letter:
    origin: Origin
    reason: str
    key: str | None
    raw: bytes


def resend(
    delta: str,
    kafka: Mapping[str, str],
    choice: Choice,
    options: Options = NO_OPTIONS,
    *,
    is_dry_run: bool = False,
    schema: Schema | None = None,
    rates: Rates = NO_RATES,
) -> ResendReport:
    """Send the chosen letters that were not sent before, and that the stream would accept today.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    kafka
        Options of the producer under Kafka's names, with ``bootstrap.servers``.
    choice
        Which ones.
    options
        Access to the object store, under delta-rs' names.
    is_dry_run
        Only count; nothing is sent or written.
    schema
        Of the records; by default the deployment's.
    rates
        As they are now; of a schema with money.

    Raises
    ------
    BadInput
        When there is no table of dead letters.
    BadConfig
        When Kafka's client refuses an option.
    Fenced
        When another run sends at the same time.
    Unavailable
        When the brokers do not take the letters; those of the last batch are unconfirmed then.
    """
    ledger = Ledger(delta, options)
    table = open_table(delta, "dead_letters", options)
    resending, judge = ResendReport(), _Judge(schema or deployed_schema(), rates, choice)
    producer = None if is_dry_run else _open(kafka)
    for letters in _chosen(table, choice, ledger, resending, judge):
        if producer is not None:
            origins = [letter.origin for letter in letters]
            ledger.write(origins, SENDING)
            delivery = producer.deliver(map(_record, letters))
            ledger.write(
                [one for one, is_taken in zip(origins, delivery.taken, strict=True) if is_taken], SENT
            )
            if not delivery.is_complete:
                raise Unavailable(
                    f"{delivery.missing} of {len(letters)} letters were not confirmed by the broker "
                    f"({delivery.reason}); --unconfirmed sends them again"
                )
        resending.sent.update(letter.reason for letter in letters)
    return resending


class _Judge:
    """Says what the stream would say of a letter's record if it arrived now."""

    def __init__(self, schema: Schema, rates: Rates, choice: Choice) -> None:
        self._schema, self._rates = schema, rates
        self._contracts, self._bounds = contracts_of(schema), bounds_of(schema, choice.most_ahead_s)

    def check(self, letter: _Letter) -> None:
        """Raise ``BadRecord`` where it would be refused."""
        key_bytes, now = len(letter.key.encode()) if letter.key else 0, datetime.now(UTC)
        topic = letter.origin.topic
        record = parse_input(self._contracts, topic, letter.raw, key_bytes + len(letter.raw))
        check_future(record, now, self._bounds)
        if topic != SCORED and isinstance(record, Transaction):  # what was scored has its rate
            priced(record, self._schema, self._rates, now)


def _chosen(
    table: Table, choice: Choice, ledger: Ledger, resending: ResendReport, judge: _Judge
) -> Iterator[list[_Letter]]:
    """Read the letters in the order of their arrival, and leave out what is not to be sent."""
    seen: set[Origin] = set()
    for part in slices_of([table], BATCH):
        found = table.rows(("topic", "reason", "key", "raw", *COLUMNS), part.filter())
        found = found.sort_by([(name, "ascending") for name in ("epoch", "received_at", *COLUMNS[-2:])])
        letters = []
        for row in found.to_pylist():
            origin = Origin(row["topic"], row["source_partition"], row["source_offset"])
            # One seen before was read again under a new checkpoint: it is the same letter.
            if origin in seen or not choice.takes(row["reason"], row["received_at"]):
                continue
            seen.add(origin)
            letter = _Letter(origin, row["reason"], row["key"], row["raw"])
            left_out = _why_not(letter, choice, ledger, resending, judge)
            if left_out is None:
                letters.append(letter)
            else:
                left_out[letter.reason] += 1
        if letters:
            yield letters


def _why_not(
    letter: _Letter, choice: Choice, ledger: Ledger, resending: ResendReport, judge: _Judge
) -> Counter[str] | None:
    """Find the count of those that are left out to which a letter belongs, if any."""
    if letter.origin in ledger.sent:
        return resending.already_sent
    if letter.origin in ledger.unconfirmed and not choice.unconfirmed:
        return resending.unconfirmed
    try:
        judge.check(letter)
    except BadRecord as error:
        if choice.even_bad and error.reason != TOO_LARGE:  # Kafka may refuse those for ever
            return None
        resending.why.setdefault(letter.reason, str(error))
        return resending.still_bad
    return None


def _open(options: Mapping[str, str]) -> Producer:
    """Open a producer whose brokers answer."""
    given = dict(options)
    bootstrap = given.pop("bootstrap.servers", "")
    if not bootstrap:
        raise BadConfig("the producer's options name no bootstrap.servers")
    return open_producer(ProducerSettings(bootstrap=bootstrap, delivery_timeout_s=FLUSH_S, options=given))


def _record(letter: _Letter) -> Record:
    origin = "/".join(map(str, letter.origin)).encode()
    return Record(letter.origin.topic, letter.key, letter.raw, (("resent-from", origin),))
