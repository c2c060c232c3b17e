"""Pictures as SVG, drawn on the server: no library, no tiles; colours are the style sheet's.

Each picture has a text alternative: what it shows, with its main figures.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape

from markupsafe import Markup

from fraud.contracts import Outcome
from services.console.archive import Event, money_words

_ORDER = tuple(Outcome)
_Project = Callable[[tuple[float, float]], tuple[float, float]]


def kind_of(event: Event) -> str:
    """Name how an event is drawn: by its label where there is one, else by its outcome."""
    if event.is_fraud:
        return "fraud"
    return event.outcome or "history"


def draw_timeline(events: Sequence[Event], currency: str = "", width: int = 880, height: int = 230) -> Markup:
    """Draw a user's transactions over time: the height is the amount, on a logarithmic scale.

    Parameters
    ----------
    currency
        The base currency, in which the heights are; empty where all amounts are in one.
    """
    if not events:
        return Markup("")
    left, right, top, bottom = 52, 14, 14, 26
    first, last = events[0].event_time, events[-1].event_time
    span = max((last - first).total_seconds(), 3600.0)
    highest = max(10.0, *(event.amount for event in events))
    low, high = math.log10(max(min(event.amount for event in events), 0.5)), math.log10(highest * 1.25)

    def x(at: datetime) -> float:
        return left + 6 + (width - left - right - 12) * (at - first).total_seconds() / span

    def y(amount: float) -> float:
        share = (math.log10(max(amount, 0.5)) - low) / max(high - low, 0.1)
        return height - bottom - 4 - (height - top - bottom - 8) * share

    floor = height - bottom
    parts = [f'<line class="axis" x1="{left}" x2="{width - right}" y1="{floor}" y2="{floor}"/>']
    for amount in _round_amounts(10**low, highest):
        at = y(amount)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{amount:,.0f}</text>'
        )
    for moment, words in _ticks(first, first + timedelta(seconds=span)):
        parts.append(
            f'<text class="tick" x="{x(moment):.1f}" y="{height - 8}" text-anchor="middle">{words}</text>'
        )
    for event in sorted(events, key=lambda one: one.is_case):
        at, tall = x(event.event_time), y(event.amount)
        kind = kind_of(event)
        title = escape(_title(event))
        parts.append(
            f'<g class="event {kind}{" case" if event.is_case else ""}"><title>{title}</title>'
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{floor}" y2="{tall:.1f}"/>'
            + (f'<circle class="halo" cx="{at:.1f}" cy="{tall:.1f}" r="11"/>' if event.is_case else "")
            + f'<circle class="dot" cx="{at:.1f}" cy="{tall:.1f}" r="{5.5 if event.is_case else 3.6}"/></g>'
        )
    frauds = sum(event.is_fraud is True for event in events)
    largest = money_words(max(event.amount for event in events), currency)
    label = (
        f"{len(events)} transactions by time and amount, {first:%d %b %Y} to {last:%d %b %Y}: "
        f"largest amount {largest}, {frauds} labelled fraud"
    )
    return _svg(parts, width, height, label, "timeline")


def draw_map(events: Sequence[Event], width: int = 420, height: int = 320) -> Markup:
    """Draw where a user's transactions took place, north up; empty where no place is known."""
    placed = [event for event in events if event.latitude is not None and event.longitude is not None]
    homes = [(e.home_latitude, e.home_longitude) for e in events if e.home_latitude is not None]
    if not placed:
        return Markup("")
    points = [(float(e.latitude or 0.0), float(e.longitude or 0.0)) for e in placed]
    home = (float(homes[-1][0] or 0.0), float(homes[-1][1] or 0.0)) if homes else None
    corners = points + ([home] if home else [])
    middle = (max(p[0] for p in corners) + min(p[0] for p in corners)) / 2.0
    squeeze = max(math.cos(math.radians(middle)), 0.05)
    tall = max(max(p[0] for p in corners) - min(p[0] for p in corners), 0.02)
    wide = max((max(p[1] for p in corners) - min(p[1] for p in corners)) * squeeze, 0.02)
    scale = 0.80 * min(width / wide, height / tall)
    west = (max(p[1] for p in corners) + min(p[1] for p in corners)) / 2.0

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return width / 2 + (point[1] - west) * squeeze * scale, height / 2 - (point[0] - middle) * scale

    parts = _graticule(at, width, height, (middle, west), (height / scale, width / scale / squeeze))
    newest = sorted(zip(placed, points, strict=True), key=lambda pair: pair[0].event_time)[-12:]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (at(point) for _, point in newest))
    parts.append(f'<polyline class="path" points="{path}"/>')
    for event, point in sorted(zip(placed, points, strict=True), key=lambda pair: pair[0].is_case):
        a, b = at(point)
        radius = min(3.0 + math.log10(max(event.amount, 1.0)) * 1.1, 8.0)
        halo = f'<circle class="halo" cx="{a:.1f}" cy="{b:.1f}" r="14"/>' if event.is_case else ""
        parts.append(
            f'<g class="event {kind_of(event)}{" case" if event.is_case else ""}">'
            f"<title>{escape(_title(event))}</title>{halo}"
            f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="{radius:.1f}"/></g>'
        )
    if home:
        a, b = at(home)
        parts.append(
            '<g class="home"><title>registered home</title>'
            f'<path d="M{a - 7:.1f},{b + 1:.1f} l7,-7 l7,7 M{a - 5:.1f},{b:.1f} v6 h10 v-6"/></g>'
        )
    south, north = min(p[0] for p in points), max(p[0] for p in points)
    west_end, east_end = min(p[1] for p in points), max(p[1] for p in points)
    label = (
        f"Map of {len(placed)} transactions, between {south:.2f} and {north:.2f} degrees north "
        f"and {west_end:.2f} and {east_end:.2f} degrees east"
    )
    return _svg(parts + _scale_bar(scale, width, height), width, height, label, "map")


def draw_traffic(slots: Sequence[Counter[str]], width: int = 420, height: int = 96) -> Markup:
    """Draw how many decisions came, by outcome; one bar a slot."""
    most = max((sum(slot.values()) for slot in slots), default=0)
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{height - 16}" y2="{height - 16}"/>']
    step = width / max(len(slots), 1)
    for index, slot in enumerate(slots):
        base = float(height - 16)
        for outcome in _ORDER:
            tall = (height - 24) * slot[outcome] / max(most, 1)
            base -= tall
            if tall > 0.0:
                parts.append(
                    f'<rect class="{outcome}" x="{index * step:.1f}" y="{base:.1f}" width="{step - 1.5:.1f}" '
                    f'height="{tall:.1f}"/>'
                )
    parts.append(f'<text class="tick" x="0" y="{height - 3}">10 minutes ago</text>')
    parts.append(f'<text class="tick" x="{width}" y="{height - 3}" text-anchor="end">now</text>')
    counts = ", ".join(f"{outcome} {sum(slot[outcome] for slot in slots):,}" for outcome in _ORDER)
    return _svg(parts, width, height, f"Decisions of the last 10 minutes: {counts}", "traffic")


def draw_bars(bins: Sequence[int], width: int = 560, height: int = 190) -> Markup:
    """Draw a histogram of scores on a logarithmic scale, as most scores are small."""
    tallest = math.log1p(max(bins, default=0)) or 1.0
    left, floor, step = 8.0, height - 24, (width - 16) / max(len(bins), 1)
    parts = [f'<line class="axis" x1="{left}" x2="{width - 8}" y1="{floor}" y2="{floor}"/>']
    for index, count in enumerate(bins):
        tall = (floor - 20) * math.log1p(count) / tallest
        at = left + index * step
        parts.append(
            f'<rect class="bar" x="{at + 1:.1f}" y="{floor - tall:.1f}" width="{step - 2:.1f}" '
            f'height="{tall:.1f}">'
            f"<title>{index / len(bins):.2f} to {(index + 1) / len(bins):.2f}: {count:,}</title></rect>"
        )
        if count:
            parts.append(
                f'<text class="tick small" x="{at + step / 2:.1f}" y="{floor - tall - 4:.1f}" '
                f'text-anchor="middle">{_short(count)}</text>'
            )
    parts += [
        f'<text class="tick" x="{left + share * (width - 16):.1f}" y="{height - 8}" '
        f'text-anchor="middle">{share:g}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    quarters = [sum(bins[len(bins) * part // 4 : len(bins) * (part + 1) // 4]) for part in range(4)]
    counts = ", ".join(f"below {(part + 1) / 4:g}: {count:,}" for part, count in enumerate(quarters))
    return _svg(parts, width, height, f"Histogram of {sum(bins):,} scores. {counts}", "bars")


def draw_score(score: float, outcome: str, width: int = 64) -> Markup:
    """Draw a score as a bar in its outcome's colour; the number stands beside it."""
    parts = [
        f'<rect class="rail" width="{width}" height="6" rx="3"/>',
        f'<rect class="{escape(outcome)}" width="{max(score * width, 3.0):.1f}" height="6" rx="3"/>',
    ]
    return _svg(parts, width, 6, "", "scorebar")


def draw_bounds(
    values: Sequence[tuple[float | None, float | None, float | None]],
    limit: float | None,
    width: int = 560,
    height: int = 200,
) -> Markup:
    """Draw a confidence sequence: (difference, lower, upper) a day, and the guardrail's limit."""
    known = [(at, d, lo, hi) for at, (d, lo, hi) in enumerate(values) if None not in (d, lo, hi)]
    if not known:
        return Markup("")
    numbers = [v for _, *three in known for v in three if v is not None] + [0.0, *([limit] if limit else [])]
    low, high = min(numbers), max(numbers)
    pad = 0.08 * (high - low or 1.0)
    left, bottom = 64, 22

    def y(value: float) -> float:
        return 8 + (height - bottom - 8) * (high + pad - value) / (high - low + 2 * pad)

    def x(at: int) -> float:
        return left + (width - left - 12) * (at / max(len(values) - 1, 1))

    upper = [f"{x(at):.1f},{y(float(hi or 0)):.1f}" for at, _, _, hi in known]
    lower = [f"{x(at):.1f},{y(float(lo or 0)):.1f}" for at, _, lo, _ in known]
    middle = " ".join(f"{x(at):.1f},{y(float(d or 0)):.1f}" for at, d, _, _ in known)
    parts = [f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>']
    for value, kind in ((0.0, "axis"), *(((limit, "limit"),) if limit else ())):
        parts.append(
            f'<line class="{kind}" x1="{left}" x2="{width - 12}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
    parts += [
        f'<text class="tick" x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (low, 0.0, high)
    ]
    if limit:
        words = f"limit: {limit:g}"
        parts.append(f'<text class="tick" x="{left + 4}" y="{y(limit) - 5:.1f}">{words}</text>')
    parts.append(f'<polyline class="line" points="{middle}"/>')
    parts.append(f'<text class="tick" x="{left}" y="{height - 5}">day 1</text>')
    parts.append(
        f'<text class="tick" x="{width - 12}" y="{height - 5}" text-anchor="end">day {len(values)}</text>'
    )
    _, now, lowest, highest = known[-1]
    label = f"Difference by day. Day {known[-1][0] + 1}: {now:.3g}, between {lowest:.3g} and {highest:.3g}"
    label += f"; the limit is {limit:g}" if limit else ""
    return _svg(parts, width, height, label, "bounds")


def _svg(parts: Sequence[str], width: int, height: int, label: str, kind: str) -> Markup:
    """Wrap a picture; one without a label is an ornament, which screen readers pass over."""
    access = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return Markup(  # noqa: S704  (numbers of ours, and escaped words)
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" {access}>' + "".join(parts) + "</svg>"
    )


def _title(event: Event) -> str:
    where = ", ".join(word for word in event.words.values() if word)
    label = {True: " · fraud", False: " · honest", None: ""}[event.is_fraud]
    outcome = event.outcome or "history"
    return f"{event.event_time:%d %b %H:%M} · {event.money} · {where} · {outcome}{label}"


def _round_amounts(low: float, high: float) -> list[float]:
    steps = (1.0,) if high > 300.0 * low else (1.0, 3.0)
    found = (step * 10.0**power for power in range(6) for step in steps)
    return [amount for amount in found if low <= amount <= high * 1.25]


def _ticks(first: datetime, last: datetime) -> list[tuple[datetime, str]]:
    step = (last - first) / 6
    words = "%d %b" if step >= timedelta(hours=12) else "%d %b %H:%M"
    return [(first + step * index, f"{first + step * index:{words}}") for index in range(7)]


def _graticule(
    at: _Project, width: int, height: int, middle: tuple[float, float], span: tuple[float, float]
) -> list[str]:
    """Draw lines of latitude and longitude at round degrees."""
    parts = []
    for axis, (centre, wide) in enumerate(zip(middle, span, strict=True)):
        step = next((s for s in (30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05) if wide / s >= 3), 0.02)
        first = math.ceil((centre - wide / 2) / step)
        for index in range(first, int((centre + wide / 2) / step) + 1):
            degree = index * step
            if axis == 0 and abs(degree) > 90:
                continue
            if axis == 0:
                y = at((degree, middle[1]))[1]
                parts.append(f'<line class="grid" x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
                side = "N" if degree >= 0 else "S"
                if y > 26:  # above stand the degrees of longitude
                    words = f"{abs(degree):g}°{side}"
                    parts.append(f'<text class="tick small" x="4" y="{y - 3:.1f}">{words}</text>')
            else:
                x = at((middle[0], degree))[0]
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
                side = "E" if degree >= 0 else "W"
                parts.append(f'<text class="tick small" x="{x + 3:.1f}" y="11">{abs(degree):g}°{side}</text>')
    return parts


def _scale_bar(scale: float, width: int, height: int) -> list[str]:
    """Draw a round distance; a degree of latitude is 111.2 km."""
    per_km = scale / 111.2
    km = next(
        k for k in (5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.1) if k * per_km < width / 3
    )
    end, y = width - 12, height - 12
    return [
        f'<path class="scale" d="M{end - km * per_km:.1f},{y - 4} v4 H{end} v-4"/>',
        f'<text class="tick" x="{end}" y="{y - 8}" text-anchor="end">{km:g} km</text>',
    ]


def _short(count: int) -> str:
    return f"{count / 1000:.1f}k" if count >= 1000 else str(count)
