"""Settings say in words what is wrong with them, and never show a value: it may be a secret."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from fraud.errors import BadConfig
from fraud.local.settings import LocalSettings
from fraud.settings.access import KafkaAccess
from fraud.settings.base import Settings, given
from fraud.settings.stream import HomeSettings


class Some(Settings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_SOME_", frozen=True, extra="forbid")

    port: int = 1
    options: dict[str, str] = Field(default_factory=dict)
    secret: SecretStr = Field(default=SecretStr(""), max_length=3)

    @model_validator(mode="after")
    def _check(self) -> "Some":
        if self.port == 2:
            raise ValueError("two is taken")
        return self


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "none", r"^port \(FRAUD_SOME_PORT\): .*integer"),
        ("PORT", "2", "settings: .*two is taken"),
        ("OPTIONS", "a=b", r"FRAUD_SOME_\*: .*options.*JSON"),
        ("OPTIONS", '{"a": [1]}', r"options\.a \(FRAUD_SOME_OPTIONS\): .*string"),
        ("SECRET", "swordfish", r"secret \(FRAUD_SOME_SECRET\): "),
    ],
)
def test_a_wrong_setting_is_named_with_its_variable(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FRAUD_SOME_{name}", value)
    with pytest.raises(BadConfig, match=words) as refused:
        Some()
    assert "swordfish" not in str(refused.value)


def test_a_part_of_settings_is_not_read_under_no_prefix() -> None:
    """Of several bases the last one's configuration holds: its prefix may be none, and ``HOME`` a setting."""

    class Composed(HomeSettings, KafkaAccess):
        pass

    with pytest.raises(TypeError, match="Composed has no env_prefix"):
        Composed()
    with pytest.raises(TypeError, match="KafkaAccess"):
        KafkaAccess()


def test_what_is_given_precedes_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_SOME_PORT", "7")
    assert Some(**given(port=None)).port == 7
    assert Some(**given(port=9)).port == 9


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        ("jobs.backfill.main", "FRAUD_STREAM_MOST_AHEAD_S"),
        ("jobs.compact.main", "FRAUD_COMPACT_TARGET_MB"),
        ("jobs.experiment.main", "FRAUD_EXPERIMENT_PUBLISHES"),
        ("fraud.tools.smoke.main", "FRAUD_SMOKE_TRANSACTIONS"),
        ("jobs.stream.main", "FRAUD_STREAM_METRICS_PORT"),
        ("jobs.train.main", "FRAUD_TRAIN_FOLDS"),
        ("services.console.main", "FRAUD_CONSOLE_KEPT"),
        ("services.predictor.main", "FRAUD_PREDICTOR_PORT"),
        ("services.scoring.main", "FRAUD_SCORING_PORT"),
        ("services.simulator.main", "FRAUD_SIMULATOR_USERS"),
    ],
)
def test_a_program_ends_by_naming_its_wrong_setting(program: str, variable: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", program],
        check=False,
        cwd=tmp_path,
        env={**os.environ, variable: "none"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert variable in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b", "a,b"])
@pytest.mark.parametrize(("made", "variable"), [(LocalSettings, "LOCAL"), (HomeSettings, "STREAM")])
def test_a_folder_that_spark_would_misread_is_refused_in_words(
    made: type[LocalSettings | HomeSettings], variable: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FRAUD_{variable}_HOME", name)
    with pytest.raises(BadConfig, match=rf"FRAUD_{variable}_HOME.*{re.escape(name)}.*choose a folder"):
        made()


def test_spaces_and_other_alphabets_are_fine_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_LOCAL_HOME", "Größe 漢字 (1)")
    assert LocalSettings().home.name == "Größe 漢字 (1)"
