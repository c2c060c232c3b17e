"""Peak memory and time of a training on many transactions, all features, in a process of its own.

    uv run python -m tests.load.training --transactions 2000000

Exits with 1 where the process ever held more than ``--most-gib``, or took more than ``--most-minutes``.
Tells, by step, the seconds by the clock and of processor time (all threads), and the most memory until then.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from tests.deployed import FEATURE_NAMES

GIB = 1 << 30


def write(folder: Path, transactions: int) -> None:
    """Draw the data set; as many cardholders and merchants a transaction as by default."""
    few = GeneratorSettings()
    scale = transactions / few.transactions
    sizes = {"users": round(few.users * scale), "merchants": round(few.merchants * scale)}
    files.write(generate(GeneratorSettings(transactions=transactions, **sizes)), folder)


class Steps:
    """What each step of a training took."""

    def __init__(self) -> None:
        self.done: list[dict[str, float | str]] = []
        self._name = "start"
        self._begun = self._at()

    def __call__(self, step: str) -> None:
        """Begin a step, and end the one before."""
        clock, processor = self._at()
        told: dict[str, float | str] = {
            "step": self._name,
            "seconds": round(clock - self._begun[0], 1),
            "processor_s": round(processor - self._begun[1], 1),
            "peak_gib": round(peak_gib(), 2),
        }
        self.done.append(told)
        print(told, "now:", step, file=sys.stderr, flush=True)  # noqa: T201  how far it is
        self._name, self._begun = step, self._at()

    @staticmethod
    def _at() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def peak_gib() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def main() -> int:
    """Generate, train, and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=2_000_000)
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--most-gib", type=float, default=8.0)
    parser.add_argument("--most-minutes", type=float, default=float("inf"))
    given = parser.parse_args()
    machine = describe_machine()
    with TemporaryDirectory(prefix="training-") as name:
        folder = Path(name)
        # The generator's memory is not the training's.
        generator = multiprocessing.get_context("spawn").Process(
            target=write, args=(folder / "data", given.transactions)
        )
        generator.start()
        generator.join()
        if generator.exitcode:
            return 1
        steps = Steps()
        trained = train(
            TrainSettings(
                data=folder / "data",
                mlflow_uri=f"sqlite:///{folder / 'mlflow.db'}",
                trials=given.trials,
                threads=given.threads,
            ),
            steps,
        )
        steps("the end")
    peak = peak_gib()
    found = {
        "transactions": given.transactions,
        "features": len(FEATURE_NAMES),
        "peak_gib": round(peak, 2),
        "seconds": round(trained.seconds),
        "steps": steps.done,
        "pr_auc": {model: asdict(figures["pr_auc"]) for model, figures in trained.comparison.items()},
        "machine": machine.words,
    }
    print(json.dumps(found, indent=1))  # noqa: T201  the command's result
    return 1 if peak > given.most_gib or trained.seconds > 60 * given.most_minutes else 0


if __name__ == "__main__":
    sys.exit(main())
