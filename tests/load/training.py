"""Peak memory and time of a training on many transactions, all features, in a process of its own.

    uv run python -m tests.load.training --transactions 2000000

Exits with 1 where the process ever held more than ``--most-gib``.
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

from fraud.features import FEATURE_NAMES
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine

GIB = 1 << 30


def write(folder: Path, transactions: int) -> None:
    """Draw the data set; as many cardholders and merchants a transaction as by default."""
    few = GeneratorSettings()
    scale = transactions / few.transactions
    sizes = {"users": round(few.users * scale), "merchants": round(few.merchants * scale)}
    files.write(generate(GeneratorSettings(transactions=transactions, **sizes)), folder)


def main() -> int:
    """Generate, train, and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=2_000_000)
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--most-gib", type=float, default=8.0)
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
        started = time.perf_counter()
        trained = train(
            TrainSettings(
                data=folder / "data",
                mlflow_uri=f"sqlite:///{folder / 'mlflow.db'}",
                trials=given.trials,
                threads=given.threads,
            ),
            lambda step: print(  # noqa: T201  how far it is
                f"{time.perf_counter() - started:.0f} s: {step}", file=sys.stderr, flush=True
            ),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    found = {
        "transactions": given.transactions,
        "features": len(FEATURE_NAMES),
        "peak_gib": round(peak, 2),
        "seconds": round(trained.seconds),
        "pr_auc": {model: asdict(figures["pr_auc"]) for model, figures in trained.comparison.items()},
        "machine": machine.words,
    }
    print(json.dumps(found, indent=1))  # noqa: T201  the command's result
    return 1 if peak > given.most_gib else 0


if __name__ == "__main__":
    sys.exit(main())
