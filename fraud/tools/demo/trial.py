"""The demo's experiment: a second model challenges the first, half of the cardholders each.

Writes the definition ``experiment.yaml`` into the home folder, where the parts find it, and the report.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local.parts import EXPERIMENT
from fraud.local.settings import LocalSettings
from jobs.experiment.analysis import Analysis
from jobs.experiment.run import run
from jobs.experiment.settings import ExperimentSettings

MATURITY_DAYS: Final = 7.0


def begin(settings: LocalSettings, training: TrainSettings) -> None:
    """Train and register the challenger, and define the experiment."""
    train(training.model_copy(update={"alias": "challenger", "seed": training.seed + 1, "balance": "root"}))
    now = datetime.now(UTC)
    definition = {
        "id": "demo-challenger",
        "salt": "demo-experiment",
        "start": now.isoformat(),
        "stop": (now + timedelta(days=28)).isoformat(),
        "arms": [
            {"name": "control", "weight": 0.5, "alias": "champion", "shadow": "challenger"},
            {"name": "treatment", "weight": 0.5, "alias": "challenger", "shadow": "champion"},
        ],
        "metric": "money_saved",
        "effect": 0.5,
        "maturity_days": MATURITY_DAYS,
        "guardrails": [
            {"metric": "false_declines", "at_most": 0.005},
            {"metric": "reviews", "at_most": 0.03},
        ],
    }
    # JSON is YAML, too.
    (settings.home_path / EXPERIMENT).write_text(json.dumps(definition, indent=1) + "\n", encoding="utf-8")


def analyse(settings: LocalSettings) -> Analysis:
    """Analyse what was streamed; the console shows it."""
    home = settings.home_path
    given = ExperimentSettings(
        file=home / EXPERIMENT, delta=str(home / "stream" / "delta"), out=home / "experiment"
    )
    return run(given)[0]
