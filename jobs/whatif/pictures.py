"""Pictures of the what-if report."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fraud.watch.bootstrap import Interval
from fraud.watch.pictures import figure_source
from jobs.whatif.cases import Case
from jobs.whatif.measure import Point
from jobs.whatif.read import Bools, History

_COLOURS: Final = ("#0969da", "#1a7f37", "#8250df")
_PASSED: Final = "#cf222e"
_WEEK_US: Final = 7 * 86_400_000_000


def draw_all(
    history: History,
    is_stopped: Bools,
    *,
    curve: Sequence[Point],
    chosen: Point,
    cases: Sequence[Case],
    unit: str,
) -> dict[str, str]:
    """Draw every picture: title, and source of the ``img``."""
    drawings: dict[str, Callable[[Any], None]] = {
        "Frauds stopped, by reviews a day": lambda axes: _draw_recall(axes, curve, chosen),
        "Money, by reviews a day": lambda axes: _draw_money(axes, curve, chosen, unit),
        "When cases are stopped": lambda axes: _draw_stops(axes, cases),
        "Amount of fraud by week": lambda axes: _draw_weeks(axes, history, is_stopped, unit),
    }
    found = {}
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        for title, draw in drawings.items():
            figure = Figure(figsize=(7, 4.4), layout="constrained")  # no pyplot: no global state
            axes = figure.subplots()
            draw(axes)
            axes.set_title(title)
            found[title] = figure_source(figure, dpi=110)
    return found


def _draw_recall(axes: Any, curve: Sequence[Point], chosen: Point) -> None:
    parts: dict[str, Callable[[Point], Interval]] = {
        "frauds": lambda point: point.recall,
        "cases": lambda point: point.cases,
        "amount": lambda point: point.amount_share,
    }
    for (name, of), colour in zip(parts.items(), _COLOURS, strict=True):
        _draw_band(axes, curve, of, colour, name)
        axes.plot([chosen.stopped_a_day], [of(chosen).value], "o", color=colour)
    axes.set(xlabel="transactions stopped a day", ylabel="share stopped", xscale="log", ylim=(0, 1.02))
    axes.legend(frameon=False)


def _draw_money(axes: Any, curve: Sequence[Point], chosen: Point, unit: str) -> None:
    parts: dict[str, Callable[[Point], Interval]] = {
        "saved": lambda point: point.saved,
        "saved, if the card is blocked": lambda point: point.saved_if_blocked,
        "saved less costs": lambda point: point.net,
    }
    for (name, of), colour in zip(parts.items(), _COLOURS, strict=True):
        _draw_band(axes, curve, of, colour, name)
        axes.plot([chosen.stopped_a_day], [of(chosen).value], "o", color=colour)
    axes.set(xlabel="transactions stopped a day", ylabel=unit, xscale="log")
    axes.legend(frameon=False)


def _draw_band(
    axes: Any, curve: Sequence[Point], of: Callable[[Point], Interval], colour: str, name: str
) -> None:
    load = [point.stopped_a_day for point in curve]
    low, value, high = ([getattr(of(point), which) for point in curve] for which in ("low", "value", "high"))
    axes.fill_between(load, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(load, value, color=colour, label=name)


def _draw_stops(axes: Any, cases: Sequence[Case]) -> None:
    names = ("1st", "2nd", "3rd", "4th or 5th", "later", "never")
    edges = np.array([1, 2, 3, 5])
    places = [
        5 if case.stopped_at is None else int(np.searchsorted(edges, case.frauds_before + 1))
        for case in cases
    ]
    counts = np.bincount(places, minlength=len(names))
    axes.bar(names, counts, color=[*[_COLOURS[0]] * 5, _PASSED])
    axes.set(xlabel="stopped at which fraud of the case", ylabel="cases")


def _draw_weeks(axes: Any, history: History, is_stopped: Bools, unit: str) -> None:
    week = (history.event_us - history.event_us[0]) // _WEEK_US
    starts = [
        datetime.fromtimestamp((int(history.event_us[0]) + one * _WEEK_US) / 1e6, UTC)
        for one in range(int(week[-1]) + 1)
    ]
    money = history.amount * history.is_fraud
    stopped = np.bincount(week, money * is_stopped, len(starts))
    passed = np.bincount(week, money * ~is_stopped, len(starts))
    axes.bar(starts, stopped, width=5.5, color=_COLOURS[1], label="stopped")
    axes.bar(starts, passed, width=5.5, bottom=stopped, color=_PASSED, label="approved")
    axes.set(xlabel="week from", ylabel=unit)
    axes.tick_params(axis="x", rotation=30)
    axes.legend(frameon=False)
