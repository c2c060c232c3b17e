"""``fraud demo``: runs the whole platform on this machine, with real parts, and counts every record.

Generates a data set, trains on its first part, starts broker, registry, model server and stream,
plays the rest through Kafka with some malformed records, checks that every transaction was counted
exactly once, and leaves a report and the running platform.
"""

import json
import os
import platform as machine
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from fraud.contracts import DEAD_LETTERS, Outcome
from fraud.errors import BadConfig, FraudError, Unavailable
from fraud.kafka.producer import ProducerSettings
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.log.spool import spool_at
from fraud.runtime.waiting import wait_until
from fraud.schema.deployed import deployed_schema
from fraud.synthetic import files
from fraud.synthetic.baselines import single_column_pr_auc
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.pace import Constant
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.demo import trial
from fraud.tools.demo.ledger import Ledger, count_delta
from fraud.tools.demo.quality import compare
from fraud.tools.demo.report import DemoResults, latency_table, write_report
from fraud.tools.demo.watch import Watcher
from jobs.backfill.run import backfill
from jobs.stream.settings import StreamSettings
from services.simulator import stream

HISTORY_SHARE: Final = 0.7
"""Part of the period that is history at go-live; the rest is streamed."""
DRAIN_S: Final = 180.0
"""How long the last decisions and the archive may take, seconds."""
MALFORMED: Final = (
    b"",
    b"not json",
    b'{"schema_version":1,"transaction_id":"bad-1"}',
    b'{"transaction_id":"bad-2","event_time":"2026-04-01T00:00:00Z","user_id":"u","merchant_id":"m","amount":-5}',
    b'{"transaction_id":"bad-3","event_time":"yesterday","user_id":"u","merchant_id":"m","amount":5}',
    b'{"schema_version":9,"transaction_id":"bad-4"}',
)
"""Records that no contract accepts."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a demo does."""

    generator: GeneratorSettings
    rate: float
    """Transactions per second."""


def run(settings: LocalSettings, size: Size, console: Console, *, has_experiment: bool = False) -> list[str]:
    """Run the demo; returns what does not add up."""
    started = time.perf_counter()
    _begin_with_nothing(settings)
    with _step(console, "generate, and start broker and registry"), ThreadPoolExecutor(1) as side:
        starting = side.submit(platform.up, settings, parts=("broker", "mlflow"))
        data = generate(size.generator, deployed_schema())
        files.write(data, settings.home_path / "data")
        starting.result()
    go_live = size.generator.start + timedelta(days=size.generator.days * HISTORY_SHARE)
    history = _before(data.transactions, "event_time", go_live)
    urls = _addresses(settings)
    with _step(console, f"train on what was known at {go_live:%Y-%m-%d}"):
        training = _training(settings, urls.mlflow, go_live, size)
        trained = train(training)
    if has_experiment:
        with _step(console, "train a challenger"):
            trial.begin(settings, training)
    with _step(console, "fold the history into the feature store"):
        stream_settings = StreamSettings(home=settings.home_path / "stream")
        backfill(history, _before(data.labels, "label_time", go_live), stream_settings)
    with _step(console, "start model server and stream"):
        platform.up(settings)
    urls = _addresses(settings)
    console.print(f"  watch the alerts as they happen: {urls.console}")
    streamed = data.transactions.slice(history.num_rows)
    arrived = _before(data.labels, "label_time", pc.max(streamed["event_time"]).as_py())
    labels = arrived.filter(pc.greater_equal(arrived["label_time"], pa.scalar(go_live)))
    with Watcher(urls.kafka) as watcher, PartRestarter(settings, console):
        _play(urls.kafka, streamed, labels, size.rate, watcher=watcher, console=console)
        expected = streamed.num_rows + len(MALFORMED)
        _wait("the last decisions", lambda: _count(watcher) >= expected, watcher.check)
    model_call_ms = _model_call_ms(urls.metrics)
    with _step(console, "check that Delta holds each transaction exactly once"):
        _wait("the archive", lambda: _archive_is_complete(stream_settings), lambda: platform.check(settings))
        counts = count_delta(stream_settings.delta_path)
    if has_experiment:
        with _step(console, "analyse the experiment"):
            conclusion = trial.analyse(settings).conclusion()
        console.print(f"  {conclusion}")
    seen = watcher.seen
    ledger = Ledger(
        generated=data.transactions.num_rows,
        history=history.num_rows,
        streamed=streamed.num_rows,
        malformed=len(MALFORMED),
        decisions=len(seen.decisions),
        dead_letters=len(seen.dead_letters),
        delta_transactions=counts.transactions,
        delta_features=counts.features,
        delta_decisions=counts.decisions,
        delta_dead_letters=counts.dead_letters,
        delta_repeated=counts.repeated,
    )
    story = DemoResults(
        machine=f"{os.cpu_count()} cores, {machine.machine()}, Python {machine.python_version()}",
        ledger=ledger,
        outcomes=compare(seen.decisions, data.labels),
        model=trained.metrics.as_dict(),
        best_column=_best_column(data),
        latencies_ms=seen.latencies(),
        model_call_ms=model_call_ms,
        decisions=list(seen.decisions.values()),
        patterns=_by_pattern(data, seen.decisions),
        links={
            "Console": urls.console,
            "MLflow": urls.mlflow,
            "Model server": f"{urls.predictor}/v2/models/fraud",
            "Metrics of the stream": urls.metrics,
            "Delta tables": stream_settings.delta_path,
            "Logs": str(settings.home_path / "logs"),
        },
    )
    figures = {**ledger.as_dict(), **story.outcomes.quality.as_dict(), **latency_table(story.latencies_ms)}
    (settings.home_path / "ledger.json").write_text(json.dumps(figures, indent=1) + "\n")
    report = settings.home_path / "report.html"
    write_report(story, report)
    _summarise(console, story, report, time.perf_counter() - started)
    return ledger.errors()


def _begin_with_nothing(settings: LocalSettings) -> None:
    """Stop and delete what an earlier run left in the home folder, and never anything else."""
    home = settings.home_path
    if home.exists() and any(home.iterdir()):
        if not (home / platform.OURS).exists():
            raise BadConfig(
                f"{home} holds something else than this platform's state: give another --home, or delete it "
                "yourself"
            )
        platform.down(settings)
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / platform.OURS).touch()


class PartRestarter:
    """Starts a crashed part again while the demo streams, and prints the end of its log."""

    def __init__(self, settings: LocalSettings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="part-restarter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            try:
                platform.check(self._settings)
            except FraudError as crash:
                self._console.print(f"[red]{escape(str(crash))}[/]\nstarting it again")
                try:
                    platform.up(self._settings)
                except FraudError as error:
                    self._console.print(f"[red]{escape(str(error))}[/]")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts answer."""

    kafka: str
    mlflow: str
    predictor: str
    metrics: str
    console: str


def _addresses(settings: LocalSettings) -> Addresses:
    urls = {part.name: part.url or "" for part in platform.status(settings)}
    return Addresses(urls["broker"], urls["mlflow"], urls["predictor"], urls["stream"], urls["console"])


@contextmanager
def _step(console: Console, words: str) -> Iterator[None]:
    started = time.perf_counter()
    with console.status(words):
        yield
    console.print(f"[green]✓[/] {words} [dim]{time.perf_counter() - started:.1f} s[/]")


def _before(table: pa.Table, column: str, moment: datetime) -> pa.Table:
    return table.filter(pc.less(table.column(column), pa.scalar(moment)))


def _training(settings: LocalSettings, mlflow: str, go_live: datetime, size: Size) -> TrainSettings:
    data = str(settings.home_path / "data")
    return TrainSettings.quick(data, as_of=go_live, mlflow_uri=mlflow, seed=size.generator.seed)


def _play(
    kafka: str, streamed: pa.Table, labels: pa.Table, rate: float, *, watcher: Watcher, console: Console
) -> None:
    """Send everything, with the malformed records in the middle, and show what comes back."""
    started = time.perf_counter()

    def show(progress: Any) -> None:
        watcher.check()
        live.update(_progress_table(progress, watcher, streamed.num_rows, time.perf_counter() - started))

    with Live(console=console, refresh_per_second=4, transient=True) as live:
        producer = ProducerSettings(bootstrap=kafka)
        stream.inject(MALFORMED, producer)
        stream.play(streamed, labels, producer, Constant(rate), on_progress=show)
    console.print(
        f"[green]✓[/] streamed {streamed.num_rows:,} transactions and {labels.num_rows:,} labels "
        f"[dim]{time.perf_counter() - started:.1f} s[/]"
    )


def _progress_table(progress: Any, watcher: Watcher, total: int, elapsed_s: float) -> Table:
    seen = watcher.seen
    recent = np.array(list(seen.latency_ms.values())[-5000:] or [np.nan])
    outcomes = seen.outcomes
    table = Table(title=f"{progress.transactions:,} of {total:,} transactions, {elapsed_s:.0f} s")
    for name in ("decided/s", *Outcome, "alerts", "dead letters", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    stopped = outcomes.total() - outcomes[Outcome.APPROVE]
    table.add_row(
        f"{len(seen.decisions) / max(elapsed_s, 0.1):,.0f}",
        *(f"{outcomes[outcome]:,}" for outcome in Outcome),
        f"{stopped:,}",
        f"{len(seen.dead_letters):,}",
        f"{np.percentile(recent, 50):,.0f}",
        f"{np.percentile(recent, 99):,.0f}",
    )
    return table


def _count(watcher: Watcher) -> int:
    return len(watcher.seen.decisions) + len(watcher.seen.dead_letters)


def _wait(what: str, is_done: Callable[[], bool], check: Callable[[], None]) -> None:
    """Wait for a condition, while ``check`` raises nothing."""

    def is_done_yet() -> bool:
        if is_done():
            return True
        check()
        return False

    if not wait_until(is_done_yet, DRAIN_S, 0.25):
        raise Unavailable(
            f"timed out after {DRAIN_S:.0f} s waiting for {what}; see the logs (`fraud status`)"
        )


def _archive_is_complete(settings: StreamSettings) -> bool:
    """Whether every micro-batch has left the spool for Delta."""
    return not spool_at(settings.spool).waiting("")


def _model_call_ms(metrics_url: str) -> dict[str, float]:
    """Mean time of the batched model call, from the stream's own histogram."""
    total = count = 0.0
    for family in text_string_to_metric_families(httpx.get(metrics_url, trust_env=False).text):
        for sample in family.samples:
            if sample.labels.get("stage") == "model_call":
                total += sample.value if sample.name.endswith("_sum") else 0.0
                count += sample.value if sample.name.endswith("_count") else 0.0
    return {"calls": count, "mean of a batched call (ms)": 1000.0 * total / max(count, 1.0)}


def _best_column(data: DataSet) -> tuple[str, float]:
    areas = single_column_pr_auc(data)
    areas.pop("random")
    name = max(areas, key=lambda column: areas[column])
    return name, areas[name]


def _by_pattern(data: DataSet, decisions: Any) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for row in data.patterns.to_pylist():
        decision = decisions.get(row["transaction_id"])
        if decision is not None:
            stopped, total = found.get(row["pattern"], (0, 0))
            found[row["pattern"]] = (stopped + (decision.outcome is not Outcome.APPROVE), total + 1)
    return found


def _summarise(console: Console, story: DemoResults, report: Path, seconds: float) -> None:
    ledger, quality = story.ledger, story.outcomes.quality
    table = Table(title=f"fraud demo: {seconds:.0f} s on {story.machine}", show_header=False)
    table.add_row(
        "transactions", f"{ledger.generated:,} = {ledger.history:,} history + {ledger.streamed:,} streamed"
    )
    sent = ledger.streamed + ledger.malformed
    table.add_row(
        "sent", f"{sent:,} = {ledger.decisions:,} decisions + {ledger.dead_letters:,} {DEAD_LETTERS}"
    )
    table.add_row(
        "in Delta",
        f"{ledger.delta_transactions:,} transactions, each once ({ledger.delta_repeated} repeated)",
    )
    table.add_row(
        "online quality", ", ".join(f"{name} {value:.3f}" for name, value in quality.as_dict().items())
    )
    table.add_row("best raw column", f"{story.best_column[0]}: PR-AUC {story.best_column[1]:.3f}")
    table.add_row("latency", ", ".join(f"{k} {v:,.0f}" for k, v in latency_table(story.latencies_ms).items()))
    table.add_row("model call", ", ".join(f"{k} {v:,.1f}" for k, v in story.model_call_ms.items()))
    for name, where in {"report": str(report), **story.links}.items():
        table.add_row(name, where)
    table.add_row("", "stop it with `fraud down`")
    console.print(table)
