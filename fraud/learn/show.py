"""Options and output of the commands of training and evaluation."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from rich.table import Table

from fraud.learn.settings import TrainSettings
from fraud.learn.training import TrainedModel
from fraud.settings.base import parse_time
from fraud.watch.bootstrap import Interval

MOMENTS: Final = ("as_of", "test_until", "train_from", "train_until")


def parse_settings(given: Mapping[str, Any]) -> TrainSettings:
    """Make settings of what was given; times as words.

    Raises
    ------
    BadConfig
        Naming the settings that are wrong.
    """
    values: dict[str, Any] = {
        name: parse_time(value) if name in MOMENTS else value
        for name, value in given.items()
        if value is not None
    }
    return TrainSettings(**values)


def metrics_table(trained: TrainedModel) -> Table:
    """Lay out the figures of our model."""
    table = Table(title=f"{trained.name} version {trained.version}, {trained.seconds:.1f} s")
    table.add_column("test metric")
    table.add_column("value", justify="right")
    for name, value in trained.metrics.as_dict().items():
        table.add_row(name, f"{value:,.4f}" if isinstance(value, float) else f"{value:,}")
    table.add_row("review from", f"{trained.thresholds.review:.4f}")
    table.add_row("decline from", f"{trained.thresholds.decline:.4f}")
    return table


def comparison_table(comparison: Mapping[str, Mapping[str, Interval]]) -> Table:
    """Lay out the models beside each other, with intervals."""
    table = Table(title="temporal test, 95% intervals over users")
    table.add_column("")
    for model in comparison:
        table.add_column(model.replace("_", " "), justify="right")
    for name in next(iter(comparison.values()), {}):
        found = [figures[name] for figures in comparison.values()]
        table.add_row(name.replace("_", " "), *map(_cell, found))
    return table


def _cell(found: Interval) -> str:
    has_bounds = np.isfinite(found.low) and np.isfinite(found.high)  # there are none without resamples
    return f"{found.value:.3f}\n{found.low:.3f}-{found.high:.3f}" if has_bounds else f"{found.value:.3f}"
