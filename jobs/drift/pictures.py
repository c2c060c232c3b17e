"""Pictures of a drift run: columns then and now, and the scores over the days."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fraud.watch.pictures import figure_source
from fraud.watch.profile import DAY_US, SCORE, Ints
from jobs.drift.judge import VOLUME, Day, Judge

SHOWN: Final = 6
"""Columns that are drawn: those flagged first, then by distance."""
LEVELS: Final = 4
"""Levels of the score that are drawn, the highest ones."""
_NUMBER: Final = re.compile(r"\d+\.\d{3,}")
_THEN, _NOW = "#8c959f", "#0969da"


def draw_columns(judge: Judge, day: Day) -> Figure | None:
    """Draw the columns that lie furthest from the training, bin by bin; None where none was judged."""
    found = [one for one in day.findings if one.name != VOLUME]
    found = sorted(found, key=lambda one: (not one.is_flagged, -one.psi))[:SHOWN]
    if not found:
        return None
    labels = {column.name: column.labels for column in judge.profile.columns}
    figure = Figure(figsize=(10, 2.6 * -(-len(found) // 3)), layout="constrained")
    grid: Any = figure.subplots(-(-len(found) // 3), 3, squeeze=False)
    for axes, one in zip(grid.flat, found, strict=False):
        now, before = judge.compared(one.name, day.day)
        there = np.flatnonzero(now + before)
        place = np.arange(len(there))
        axes.bar(place - 0.2, before[there] / before.sum(), 0.4, color=_THEN, label="training")
        axes.bar(place + 0.2, now[there] / now.sum(), 0.4, color=_NOW, label=day.date)
        ticks = [_NUMBER.sub(lambda found: f"{float(found[0]):.3g}", labels[one.name][at]) for at in there]
        axes.set_xticks(place, ticks, rotation=45, ha="right", fontsize=6)
        axes.set_title(f"{one.name}, PSI {one.psi:.3f}{', flagged' if one.is_flagged else ''}", fontsize=8)
    grid.flat[0].legend(frameon=False, fontsize=7)
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    return figure


def draw_scores(judge: Judge) -> Figure | None:
    """Draw the share of scores above the training's highest levels, by day; None without scores."""
    column = next((one for one in judge.profile.columns if one.name == SCORE), None)
    if column is None or not column.edges:
        return None
    sources = (
        (np.array(judge.profile.days, np.int64), judge.profile.matrix(SCORE), _THEN, "training"),
        (judge.live.days, judge.live.counts[SCORE], _NOW, "served"),
    )
    known = [source for source in sources if source[1].sum()]
    if not known:
        return None
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    for days, counts, colour, words in known:
        there = counts.sum(axis=1) > 0
        x: list[Any] = [datetime.fromtimestamp(int(day) * DAY_US / 1e6, UTC) for day in days[there]]
        for number, share in enumerate(_shares_above(counts[there])):
            axes.plot(x, share, color=colour, lw=1.2, marker=".", ms=3, label=words if not number else None)
    axes.set_yscale("log")
    axes.set_ylabel("share of scores")
    axes.set_title("above " + ", ".join(f"{edge:.2g}" for edge in column.edges[-LEVELS:]), fontsize=8)
    axes.legend(frameon=False)
    figure.autofmt_xdate()
    return figure


def as_image(figure: Figure) -> str:
    """Encode a picture for a page that fetches nothing."""
    with mpl.rc_context({"font.size": 8}):
        return figure_source(figure, dpi=100)


def _shares_above(counts: Ints) -> list[Any]:
    """Share of each day's values above each of the highest edges, [levels][days]; none is no point."""
    values = counts[:, :-1]  # the last bin is of missing ones
    above = np.cumsum(values[:, ::-1], axis=1)[:, ::-1] / np.maximum(values.sum(axis=1, keepdims=True), 1)
    return [np.where(share > 0.0, share, np.nan) for share in above.T[-LEVELS:]]
