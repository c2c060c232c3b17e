"""A change of the schema under load: ``uv run python -m tests.load.roll --seconds 60``.

Starts the embedded platform with the packaged schema, and sends transactions of the same cardholders through
Kafka and through the scoring service. Meanwhile ``fraud roll`` changes to a schema with another entity (the
device, with 20 features), which needs a store that is filled from the log and a new model. At the end all is
drained and stopped, older vectors get the new columns, and one table says what was lost, doubled, or differs
(see ``tests.load.ledger``), with the pauses and the latencies before, during and after the change. Exits with
1 where anything was, or where the scoring service paused for more than 5 s.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fraud.contracts import DECISIONS, TRANSACTIONS
from fraud.local import platform
from fraud.local.roll import Rolled, roll
from fraud.schema.deployed import VARIABLE
from jobs.stream.settings import StreamSettings
from tests.load.clients import ApiClients, KafkaClient, Load
from tests.load.entities import schema_of
from tests.load.ledger import Ledger, Sent, quantiles, records_in, settle
from tests.load.storm import begin, drain, settings_in
from tests.services.predictor.conftest import Registry, make_model

PAUSE_S: Final = 5.0
"""Bound of the scoring service's pause."""
ENTITIES: Final = 3


def run(given: argparse.Namespace, home: Path) -> tuple[Rolled, dict[str, str], int]:
    """Change the schema under load, drain, stop the platform, and settle.

    Returns
    -------
    tuple
        The pauses, the latencies by phase, and the account's exit code.
    """
    settings = settings_in(home)
    try:
        urls = begin(settings)
        new = home / "new.yaml"
        new.write_text(schema_of(ENTITIES))
        load = Load(given.seed, given.rate, given.users, given.users // 4, 0)
        api, kafka = ApiClients(urls["scoring"], load), KafkaClient(urls["broker"], load)
        with kafka, api:
            time.sleep(given.seconds)
            model = _by(new, home, "register", urls["mlflow"]).strip()
            began = time.monotonic()
            rolled = roll(settings, new, model, print)
            assert rolled is not None  # the schemas differ
            ended = time.monotonic()
            time.sleep(given.seconds)
            api.stop_sending()
            kafka.stop_sending()
        sent = Sent(kafka.delivered, kafka.failed, api.answered, api.refused, api.unanswered, api.names)
        drain(StreamSettings(home=home / "stream"), sent)
        for topic in (TRANSACTIONS, DECISIONS):
            records = records_in(urls["broker"], topic)
            (home / topic).write_text(json.dumps([record.decode() for record in records]))
    finally:
        platform.down(settings)
    known = {name: sorted(of) if isinstance(of, set) else of for name, of in asdict(sent).items()}
    (home / "sent.json").write_text(json.dumps(known))
    _by(new, home, "fill")
    print(_by(new, home, "settle"))  # noqa: T201
    phases = {"before": (0.0, began), "during": (began, ended), "after": (ended, time.monotonic())}
    latencies = {
        name: quantiles([found for due, found in api.latencies if first <= due < end])
        for name, (first, end) in phases.items()
    }
    return rolled, latencies, int((home / "wrong").exists())


def _by(schema: Path, home: Path, part: str, *more: str) -> str:
    """Run a part in a process that has the new schema; returns what it prints."""
    command = {
        "fill": [
            "fraud",
            "replay",
            "backfill-features",
            "--delta",
            StreamSettings(home=home / "stream").delta_path,
        ]
    }.get(part, [__spec__.name, "--home", str(home), "--part", part, *more])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, VARIABLE: str(schema)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def account(home: Path) -> Ledger:
    """Compare by the new schema; the platform must be stopped."""
    written = json.loads((home / "sent.json").read_text())
    known: dict[str, Any] = {name: set(of) if isinstance(of, list) else of for name, of in written.items()}
    sent = Sent(**known)
    topic, published = (json.loads((home / name).read_text()) for name in (TRANSACTIONS, DECISIONS))
    stream = StreamSettings(home=home / "stream")
    return settle(stream, sent, len(topic), [one.encode() for one in published], home / "rebuilt")


def main() -> None:
    """Read the arguments, run, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of load before the change, and after it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="transactions a second, half on each path")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--home", type=Path, default=Path(".fraud-roll"), help="removed at the next run")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    home = given.home.absolute()
    match given.part:
        case ["register", uri]:
            print(Registry(uri).register(make_model(5), "next"))  # noqa: T201
        case ["settle"]:
            found = account(home)
            print(found.table())  # noqa: T201
            if found.errors():
                (home / "wrong").touch()
        case _:
            rolled, latencies, status = run(given, home)
            load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
            print(  # noqa: T201
                f"filled in {rolled.filled_s:.1f} s beside the old stream; stream paused "
                f"{rolled.stream_paused_s:.1f} s, scoring {rolled.scoring_paused_s:.1f} s\n"
                f"load {load}"
            )
            for phase, words in latencies.items():
                print(f"API, {phase}: {words}")  # noqa: T201
            sys.exit(status or int(rolled.scoring_paused_s > PAUSE_S))


if __name__ == "__main__":
    main()
