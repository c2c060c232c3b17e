"""Where jobs write that are told nothing else: into the home of the tables that they read."""

from pathlib import Path

import pytest

from fraud.settings.home import MARK
from fraud.settings.stream import LakeSettings
from jobs.drift.settings import DriftSettings
from jobs.experiment.settings import ExperimentSettings
from jobs.online.settings import OnlineSettings
from jobs.performance.settings import PerformanceSettings
from jobs.retrain.settings import RetrainSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FRAUD_LOCAL_HOME", "FRAUD_STREAM_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made = tmp_path / "there"
    (made / "stream" / "delta").mkdir(parents=True)
    (made / MARK).touch()
    return made


@pytest.mark.parametrize(
    ("settings", "name"),
    [(DriftSettings, "drift"), (PerformanceSettings, "performance"), (ExperimentSettings, "experiment")],
)
def test_a_report_lies_in_the_home_of_its_tables(
    settings: type[DriftSettings], name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings(delta=str(home / "stream" / "delta")).out == home / name
    assert settings().out == Path(".fraud") / name
    monkeypatch.setenv("FRAUD_STREAM_HOME", str(home / "stream"))
    assert settings().out == home / name
    assert settings(out=Path("elsewhere")).out == Path("elsewhere")


def test_all_that_a_chosen_home_holds_is_looked_for_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUD_LOCAL_HOME", str(home))
    assert LakeSettings().delta_path == str(home / "stream" / "delta")
    assert DriftSettings().out == home / "drift"
    assert ExperimentSettings().file == home / "experiment.yaml"
    assert RetrainSettings().work == home / "retrain"
    assert OnlineSettings().work == home / "online"
