"""Where the report goes when nobody says so."""

from pathlib import Path

import pytest

from jobs.drift.settings import DriftSettings
from jobs.performance.settings import PerformanceSettings


@pytest.mark.parametrize("settings", [DriftSettings, PerformanceSettings])
def test_a_report_goes_to_the_home_that_the_tables_belong_to(
    settings: type[DriftSettings | PerformanceSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = settings.__name__.removesuffix("Settings").lower()
    monkeypatch.chdir(tmp_path)
    assert settings(delta=str(tmp_path / "home/stream/delta")).folder == tmp_path / "home" / name
    assert settings(delta=str(tmp_path / "tables/delta")).folder == tmp_path / "tables" / name
    assert settings(out=Path("x"), delta="s3://bucket/delta").folder == Path("x")
    assert settings().folder == tmp_path / ".fraud" / name
    monkeypatch.setenv("FRAUD_STREAM_HOME", str(tmp_path / "other/stream"))
    assert settings().folder == tmp_path / "other" / name
