"""What thresholds by segment are worth: ``uv run python -m tests.load.segments``.

A model is trained on the first 60 days of a generated world, as `fraud train` does. The days after it are a
log, scored by the model and decided by its thresholds. `fraud policy suggest` chooses on the earlier 70 % of
it, and the later 30 % tells what one choice for all and thresholds by segment cost. All labels are there.
"""

import argparse
import os
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console

from fraud.decide.engine import NO_RULES
from fraud.decide.policy import decide
from fraud.learn.examples import build_examples, divide
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables
from fraud.learn.training import fit
from fraud.rules.effects import Costs
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import DAY_US, GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from jobs.rules.policy import suggest_policy
from jobs.rules.policy_commands import show
from tests.fraud.rules.logs import write_log

LEARNT = 60
COSTS = Costs(challenge_left=0.2, challenge_passed=0.1)


def main() -> None:
    """Generate, train, write the log, choose, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transactions", type=int, default=300_000)
    parser.add_argument("--capacity", type=float, default=40.0, help="reviews of a day")
    parser.add_argument("--by", nargs="+", default=["channel", "amount:50,200"])
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    n = given.transactions
    world = GeneratorSettings(transactions=n, users=n // 40, merchants=n // 100, days=180, seed=given.seed)
    data = generate(world, deployed_schema())
    examples = build_examples(Tables(data.transactions, data.labels, ""))
    as_of = world.start + timedelta(days=LEARNT)
    settings = TrainSettings.quick("", as_of=as_of, mlflow_uri="", seed=given.seed)
    model = fit(divide(examples, settings), settings).model
    times = data.transactions["event_time"].cast(pa.int64()).to_numpy()
    live = times >= world.start_us + LEARNT * DAY_US
    vectors, is_fraud = examples.vectors[live], examples.is_fraud[live]
    score = model.predict(vectors)
    outcomes = [str(one) for one in decide(score, model.card.thresholds)]
    table = data.transactions.filter(pa.array(live))
    every = timedelta(days=180 - LEARNT) / table.num_rows
    with tempfile.TemporaryDirectory(prefix="segments-") as folder:
        delta = write_log(
            Path(folder),
            table,
            vectors,
            since=as_of,
            every=every,
            scores=score,
            outcomes=outcomes,
            labels=dict(enumerate(is_fraud.tolist())),
        )
        found = suggest_policy(delta, rules=NO_RULES, by=given.by, capacity=given.capacity, costs=COSTS)
    console = Console(width=150)
    show(console, found)
    frauds = int(np.count_nonzero(is_fraud))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    console.print(f"{table.num_rows:,} transactions in the log, {frauds:,} frauds")
    console.print(f"{describe_machine().words}; load {load}")


if __name__ == "__main__":
    main()
