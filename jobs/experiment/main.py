"""Runs the analysis once: report, state, figures, and the stop record where a guardrail demands it.

Reads the definition and the Delta tables ``decisions`` and ``labels``; writes ``report.html`` and
``state.json``, the table ``figures``, and beside the definition the stop record.
"""

import json
import logging
import os

from fraud.errors import Unavailable
from fraud.experiment import Stop, read_experiment, read_stop, stop_experiment
from fraud.figures import publish_figures
from fraud.telemetry import configure_logging
from jobs.experiment.analysis import Analysis, analyse, state_of
from jobs.experiment.outcomes import read_outcomes
from jobs.experiment.report import figures_of, write_html
from jobs.experiment.settings import ExperimentSettings
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.experiment")


def look_once(settings: ExperimentSettings) -> tuple[Analysis, Stop | None]:
    """Analyse without writing anything.

    Raises
    ------
    BadConfig, BadInput, Unavailable
        When the definition is wrong, nothing has been decided under it, or the tables cannot be read.
    """
    experiment = read_experiment(settings.file)
    stream = StreamSettings()
    delta = settings.delta or stream.delta_path
    outcomes = read_outcomes(delta, stream.delta_options, experiment)
    return analyse(experiment, outcomes), read_stop(settings.file, experiment)


def run(settings: ExperimentSettings) -> tuple[Analysis, Stop | None]:
    """Analyse, stop what must be stopped, and report."""
    analysis, stop = look_once(settings)
    demand = analysis.must_stop()
    if stop is None and demand is not None:
        stop = stop_experiment(settings.file, analysis.experiment, *demand)
        log.warning("experiment %s is stopped: %s", analysis.experiment.id, stop.reason)
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "report.html").write_text(write_html(analysis, stop), encoding="utf-8")
    state = settings.out / "state.json"
    partial = state.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(state_of(analysis, stop.reason if stop else None)), encoding="utf-8")
    partial.replace(state)
    if settings.publishes:
        stream = StreamSettings()
        try:
            publish_figures(
                settings.delta or stream.delta_path,
                stream.delta_options,
                "experiment",
                figures_of(analysis, stop),
            )
        except Unavailable as error:
            log.warning("Prometheus will not see this run: %s", error)
    return analysis, stop


def main() -> None:
    """Run the job as a program."""
    configure_logging()
    run(ExperimentSettings())


if __name__ == "__main__":
    main()
