"""What the dashboards are made of: a panel is a title, a unit and queries; a row lays panels side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.dashboard import DataSourceRef

WIDTH: Final = 24
HEIGHT: Final = 8
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    unit: str
    """Grafana's name of the unit."""
    queries: tuple[tuple[str, str], ...]
    """PromQL, and the legend of its series."""
    text: str = ""
    """What to see in it, in words."""
    is_stat: bool = False
    """One great number instead of a curve."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: rows of panels."""

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def rate(metric: str, by: str = "") -> str:
    """Write the rate of a counter, summed over the replicas."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}[5m]))"


def share(part: str, whole: str, by: str = "") -> str:
    """Write the share that one counter has of another."""
    return f"{rate(part, by)} / scalar({rate(whole)})" if by else f"{rate(part)} / {rate(whole)}"


def quantiles(histogram: str, by: str = "", levels: Sequence[float] = (0.5, 0.99)) -> tuple[Any, ...]:
    """Write quantiles of a histogram with their legends."""
    grouped = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple(
        (
            f"histogram_quantile({level}, sum by ({grouped}) (rate({histogram}_bucket[5m])))",
            f"{legend}p{level * 100:g}",
        )
        for level in levels
    )


def build(board: Dashboard) -> Any:
    """Build a dashboard of Grafana's own model."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["fraud"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for title, panels in board.rows:
        builder = builder.with_row(dashboard.Row(title))
        for panel in panels:
            builder = builder.with_panel(_build(panel, WIDTH // len(panels)))
    return builder.build()


def _build(panel: Panel, width: int) -> Any:
    kind = stat.Panel() if panel.is_stat else timeseries.Panel().fill_opacity(8).line_width(1)
    built = (
        kind.title(panel.title)
        .description(panel.text)
        .unit(panel.unit)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT if not panel.is_stat else HEIGHT // 2)
    )
    for at, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + at))
        built = built.with_target(query)
    return built
