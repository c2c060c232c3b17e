"""``fraud drift``: compares, and writes the report; an operator or the DAG runs it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from fraud.errors import BadModel, Unavailable
from fraud.model.registry import ModelVersions, open_registry
from fraud.settings.stream import LakeSettings
from fraud.watch.figures import publish_figures
from fraud.watch.profile import PROFILE_FILE, Profile
from jobs.drift.judge import Judge
from jobs.drift.pictures import as_image, draw_columns, draw_scores
from jobs.drift.read import count_days, last_day
from jobs.drift.report import DriftReport, as_gauges, write_report
from jobs.drift.settings import DriftSettings


def run(settings: DriftSettings, tell: Callable[[str], None] = lambda _: None) -> DriftReport:
    """Judge the last whole days, write the report, and show the figures to Prometheus.

    Raises
    ------
    BadInput
        When a table, the version or its profile is missing.
    Unavailable
        When the registry or the tables do not answer; try again.
    """
    stream = LakeSettings()
    delta, options = settings.delta or stream.delta_path, stream.delta_options
    version, profile = load_profile(settings)
    last = _day_before(settings.until) if settings.until else last_day(delta, options)
    window = settings.limits.window
    live = count_days(delta, options, profile, last=last, window=window, version=version)
    judge = Judge(profile, live, settings.limits)
    days = [judge.day(day) for day in range(last - window + 1, last + 1)]
    report = DriftReport(settings.model_name, version, days, judge.alarms(days))
    figures = {
        "The columns furthest from the training": draw_columns(judge, days[-1]),
        "Scores over the days": draw_scores(judge),
    }
    pictures = {title: as_image(figure) for title, figure in figures.items() if figure is not None}
    write_report(report, settings.out, pictures)
    if settings.publishes:
        try:
            publish_figures(delta, options, "drift", as_gauges(report))
        except Unavailable as error:  # the comparison's own result stands
            tell(f"warning: {error}")
    return report


def load_profile(settings: DriftSettings) -> tuple[str, Profile]:
    """Fetch the profile that was stored with a version's run.

    Raises
    ------
    BadInput
        When there is no such version, or it was registered without a profile.
    BadModel
        When the profile cannot be read.
    """
    with open_registry(settings.mlflow_uri, "", settings.registry_uri), TemporaryDirectory() as folder:
        versions = ModelVersions(settings.model_name)
        version = versions.resolve(settings.model)
        path = versions.artifact(version, PROFILE_FILE, Path(folder))
        try:
            return version, Profile.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BadModel(f"the profile of version {version} cannot be read: {error}") from error


def _day_before(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(days=1) - 1
