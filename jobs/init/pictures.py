"""Pictures of a table: transactions and fraud by day, amounts, hours, label delay, columns that move."""

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from fraud.watch.pictures import figure_source
from jobs.init.labels import delays
from jobs.init.measure import MOVED, binned, stability
from jobs.init.table_data import DAY_US, Data, Row

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN: Final = 6
"""Columns in the picture of those that move."""


def draw_all(data: Data, columns: list[Row]) -> list[tuple[str, str]]:
    """Draw every picture that the table has something for.

    Returns
    -------
    list
        Name, and the source of the picture.
    """
    drawings: dict[str, Callable[[Any], None]] = {
        "transactions a day": lambda axes: _days(axes, data),
        "amounts": lambda axes: _amounts(axes, data),
        "hour of the day (UTC)": lambda axes: _hours(axes, data),
    }
    if data.is_fraud.any():
        drawings["share of fraud by week"] = lambda axes: _rates(axes, data)
    if delays(data):
        drawings["label delay"] = lambda axes: _delays(axes, data)
    moving = [row for row in columns if row["moved (PSI, first to last third)"] > 0]
    if moving and data.days.max() >= 14:
        drawings["columns that move"] = lambda axes: _moving(axes, data, moving)
    found = []
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        for name, draw in drawings.items():
            figure = Figure(figsize=(6, 3.4), layout="constrained")
            draw(figure.subplots())
            found.append((name, figure_source(figure, dpi=100)))
    return found


def _dates(data: Data, count: int, step: int) -> Any:
    first = np.datetime64(int(data.times.min()) // DAY_US * DAY_US, "us").astype("datetime64[D]")
    return first + np.arange(count) * step


def _days(axes: Any, data: Data) -> None:
    counts = np.bincount(data.days)
    axes.plot(_dates(data, len(counts), 1), counts, color="#0969da", linewidth=1)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("transactions")
    axes.tick_params(axis="x", rotation=30)


def _rates(axes: Any, data: Data) -> None:
    week = data.days // 7
    known = np.bincount(week, weights=data.is_labelled)
    frauds = np.bincount(week, weights=data.is_fraud, minlength=len(known))
    share = np.where(known > 0, frauds / np.maximum(known, 1), np.nan)
    spread = 1.96 * np.sqrt(np.maximum(share * (1 - share), 0) / np.maximum(known, 1))
    axes.errorbar(
        _dates(data, len(share), 7), 100 * share, 100 * spread, color="#cf222e", fmt="o-", markersize=3
    )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("fraud, % of the labelled")
    axes.tick_params(axis="x", rotation=30)


def _amounts(axes: Any, data: Data) -> None:
    amount = np.maximum(data.amount, 0.01)
    edges = np.geomspace(amount.min(), max(amount.max(), amount.min() * 1.01), 40)
    for chosen, name, color in ((~data.is_fraud, "others", "#0969da"), (data.is_fraud, "fraud", "#cf222e")):
        if chosen.any():
            axes.hist(
                amount[chosen],
                edges,
                density=False,
                weights=np.full(chosen.sum(), 1 / chosen.sum()),
                histtype="step",
                color=color,
                label=name,
            )
    axes.set_xscale("log")
    axes.set_xlabel("amount")
    axes.set_ylabel("share")
    axes.legend()


def _hours(axes: Any, data: Data) -> None:
    hour = data.times // 3_600_000_000 % 24
    for chosen, name, color in ((~data.is_fraud, "others", "#0969da"), (data.is_fraud, "fraud", "#cf222e")):
        if chosen.any():
            axes.step(
                np.arange(24),
                np.bincount(hour[chosen], minlength=24) / chosen.sum(),
                where="mid",
                color=color,
                label=name,
            )
    axes.set_ylabel("share")
    axes.legend()


def _delays(axes: Any, data: Data) -> None:
    label_us = data.table["label_time"].cast(pa.int64())
    told = np.asarray(label_us.is_valid().to_numpy(), np.bool_)
    passed = (np.asarray(pc.fill_null(label_us, 0).to_numpy(), np.int64) - data.times)[told] / DAY_US
    axes.plot(np.sort(passed), np.linspace(0, 100, len(passed)), color="#0969da")
    axes.set_xlabel("days after the transaction")
    axes.set_ylabel("labels that have come, %")


def _moving(axes: Any, data: Data, moving: list[Row]) -> None:
    week = data.days // 7
    first = week == 0
    ranked = sorted(moving, key=lambda row: -row["moved (PSI, first to last third)"])[:_SHOWN]
    for row in ranked:
        bins = binned(data, row["column"])
        if bins is not None:
            found = [stability(bins[first], bins[week == at]) for at in range(1, int(week.max()) + 1)]
            axes.plot(_dates(data, len(found) + 1, 7)[1:], found, label=row["column"], linewidth=1)
    axes.axhline(MOVED, color="#57606a", linestyle="--", linewidth=1)
    axes.set_ylabel("PSI against the first week")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize=7)
