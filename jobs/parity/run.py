"""``fraud parity``: compares, and writes the report; an operator or the DAG runs it."""

import time

from rich.console import Console

from fraud.contracts import bounds_of
from fraud.errors import FraudError, Unavailable
from fraud.schema.deployed import deployed_schema
from fraud.settings.stream import GuardSettings, LakeSettings
from fraud.watch.figures import publish_figures
from jobs.parity.compare import Parity, compare
from jobs.parity.report import as_gauges, as_tables, write_json
from jobs.parity.settings import ParitySettings, window_words


def run(settings: ParitySettings, console: Console) -> Parity:
    """Compare, report, show the figures to Prometheus, and write the file that is asked for.

    Raises
    ------
    FraudError
        When a difference exceeds the tolerance or the counts do not add up; after all is written.
    BadInput, Unavailable
        See :func:`jobs.parity.compare.compare`.
    """
    started = time.perf_counter()
    stream = LakeSettings()
    delta = settings.delta or stream.delta_path
    bounds = bounds_of(deployed_schema(), GuardSettings().most_ahead_s)
    with console.status("reading the log") as status:
        parity = compare(
            delta,
            stream.delta_options,
            since=settings.since,
            until=settings.until,
            rows=settings.slice_rows,
            scratch=settings.scratch,
            most_ahead_us=bounds.greatest_us if settings.without_future else None,
            on_progress=lambda so_far: status.update(f"{so_far.folded:,} transactions folded"),
        )
    if settings.json_file:
        write_json(parity, settings.tolerance, settings.json_file)
    if settings.publishes:
        try:
            publish_figures(delta, stream.delta_options, "parity", as_gauges(parity))
        except Unavailable as error:  # the comparison's own result stands
            console.print(f"warning: {error}", style="yellow", markup=False)
    window = window_words(settings.since, settings.until)
    for table in as_tables(parity, window, time.perf_counter() - started):
        console.print(table)
    errors = parity.errors(settings.tolerance)
    if errors:
        raise FraudError("the log breaks what the stream guarantees: " + "; ".join(errors[:5]))
    return parity
