"""``fraud performance``: measures, estimates and writes the summary; an operator or the DAG runs it."""

from collections.abc import Callable

from fraud.errors import Unavailable
from fraud.schema.deployed import deployed_schema
from fraud.settings.stream import LakeSettings
from fraud.watch.figures import publish_figures
from jobs.performance.figures import as_gauges
from jobs.performance.read import read_decided
from jobs.performance.report import write_report
from jobs.performance.settings import PerformanceSettings
from jobs.performance.summary import Performance, summarise


def run(settings: PerformanceSettings, tell: Callable[[str], None] = lambda _: None) -> Performance:
    """Measure what has matured, estimate what has not, write the report, show the figures to Prometheus.

    Raises
    ------
    BadInput
        When there is no decision.
    Unavailable
        When the tables do not answer; try again.
    """
    stream = LakeSettings()
    delta, options = settings.delta or stream.delta_path, stream.delta_options
    days = max(settings.windows_days) + settings.period_days + settings.earlier_days
    schema = deployed_schema()
    summary = summarise(read_decided(delta, options, schema, as_of=settings.as_of, days=days), settings)
    write_report(summary, settings.out, schema.base_currency)
    if settings.publishes:
        try:
            publish_figures(delta, options, "performance", as_gauges(summary))
        except Unavailable as error:  # the summary itself stands
            tell(f"warning: {error}")
    return summary
