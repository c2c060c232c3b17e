"""Runs the analysis once: report, state, figures, and the stop record where a guardrail demands it.

Reads the definition and the Delta tables ``decisions`` and ``labels``; writes ``report.html`` and
``state.json``, the table ``figures``, and beside the definition the stop record.
"""

import json
import logging
import os
from functools import partial
from pathlib import Path

from fraud.decide.experiment import Experiment, Stop, read_experiment, read_stop, stop_experiment
from fraud.errors import Unavailable
from fraud.schema.deployed import deployed_schema
from fraud.settings.stream import LakeSettings
from fraud.watch.figures import publish_figures
from jobs.experiment.analysis import Analysis, analyse, state_of
from jobs.experiment.outcomes import read_outcomes
from jobs.experiment.report import figures_of, write_html
from jobs.experiment.settings import ExperimentSettings

log = logging.getLogger("jobs.experiment")


def look_once(settings: ExperimentSettings) -> tuple[Analysis, Stop | None]:
    """Analyse without writing anything.

    Raises
    ------
    BadConfig, BadInput, Unavailable
        When the definition is wrong, nothing has been decided under it, or the tables cannot be read.
    """
    experiment = read_experiment(settings.file)
    stream = LakeSettings()
    delta = settings.delta or stream.delta_path
    outcomes = read_outcomes(delta, stream.delta_options, experiment, deployed_schema())
    return analyse(experiment, outcomes), read_stop(settings.file, experiment)


def run(settings: ExperimentSettings) -> tuple[Analysis, Stop | None]:
    """Analyse, stop what must be stopped, and report."""
    analysis, stop = look_once(settings)
    demand = analysis.must_stop()
    if stop is None and demand is not None:
        stop = stop_by(settings, analysis.experiment, *demand)
        log.warning("experiment %s is stopped: %s", analysis.experiment.id, stop.reason)
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "report.html").write_text(write_html(analysis, stop), encoding="utf-8")
    state = settings.out / "state.json"
    unfinished = state.with_suffix(f".{os.getpid()}.partial")
    unfinished.write_text(json.dumps(state_of(analysis, stop.reason if stop else None)), encoding="utf-8")
    unfinished.replace(state)
    if settings.publishes:
        stream = LakeSettings()
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


def stop_by(settings: ExperimentSettings, experiment: Experiment, by: str, reason: str) -> Stop:
    """Stop the experiment: the record goes beside the definition, or into its ConfigMap.

    Raises
    ------
    BadConfig, Unavailable
        When there is no cluster, or it does not let us.
    """
    write = partial(_write_to_config_map, settings.config_map) if settings.config_map else None
    return stop_experiment(settings.file, experiment, by, reason, write)


def _write_to_config_map(name: str, file: Path, text: str) -> None:
    from kubernetes import client  # noqa: PLC0415  (only on a cluster)

    from fraud.runtime.cluster import answering, connect  # noqa: PLC0415

    namespace = connect()
    with answering(f"ConfigMap {name} does not take the stop record"):
        client.CoreV1Api().patch_namespaced_config_map(name, namespace, {"data": {file.name: text}})
