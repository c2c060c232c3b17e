"""Definitions, sticky arms, and stopping while programs run."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.decide.experiment import (
    Alias,
    Experiment,
    ExperimentFile,
    Stop,
    read_experiment,
    stop_experiment,
    stop_file,
)
from fraud.errors import BadConfig

TEXT = """\
id: challenger-7
salt: 9f4e1c2ab7
start: 2026-01-01T00:00:00Z
stop: 2099-01-01T00:00:00Z
arms:
  - {name: control, weight: 0.7, alias: champion, shadow: challenger}
  - {name: treatment, weight: 0.3, alias: challenger}
effect: 0.2
guardrails:
  - {metric: false_declines, at_most: 0.002}
"""


def write(folder: Path, text: str = TEXT) -> Path:
    file = folder / "experiment.yaml"
    file.write_text(text)
    return file


def one(**changed: object) -> Experiment:
    days = {"start": "2026-01-01T00:00:00Z", "stop": "2026-02-01T00:00:00Z"}
    arms = [
        {"name": "control", "weight": 0.7, "alias": "champion"},
        {"name": "treatment", "weight": 0.3, "alias": "challenger"},
    ]
    content = {"id": "x", "salt": "saltsalt", "arms": arms, "effect": 1.0, **days, **changed}
    return Experiment.model_validate(content)


@given(st.text(min_size=1, max_size=20))
def test_a_user_stays_in_one_arm_whoever_asks(user: str) -> None:
    assert one().arm_of(user) == one().arm_of(user)


def test_arms_get_their_shares_and_another_salt_draws_anew() -> None:
    users = [f"u{i}" for i in range(20_000)]
    treated = [one().arm_of(user).name == "treatment" for user in users]
    again = [one(salt="anothersalt").arm_of(user).name == "treatment" for user in users]
    assert abs(sum(treated) / 20_000 - 0.3) < 0.015  # over four standard errors
    both = sum(a and b for a, b in zip(treated, again, strict=True)) / 20_000
    assert abs(both - 0.09) < 0.01


def test_more_weight_moves_users_only_into_the_arm_that_grows() -> None:
    before, after = (
        one(),
        one(
            arms=[
                {"name": "control", "weight": 0.5, "alias": "champion"},
                {"name": "treatment", "weight": 0.5, "alias": "challenger"},
            ]
        ),
    )
    users = [f"u{i}" for i in range(2_000)]
    left = [u for u in users if before.arm_of(u).name == "treatment" and after.arm_of(u).name == "control"]
    assert left == []


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("weight: 0.3", "weight: 0.4", 1, "add up to 1"),
        ("weight: 0.3", "weight: -1", 7, "arms.1.weight"),
        ("alias: challenger}", "alias: champion}", 1, "same model"),
        ("shadow: challenger", "shadow: champion", 6, "another model"),
        ("salt: 9f4e1c2ab7", "salt: short", 2, "salt"),
        ("stop: 2099-01-01T00:00:00Z", "stop: 2025-01-01T00:00:00Z", 1, "stop must come after start"),
        ("start: 2026-01-01T00:00:00Z", "start: 2026-01-01T00:00:00", 3, "start"),
        ("effect: 0.2", "efect: 0.2", 8, "efect: there is no such setting; did you mean effect?"),
        ("metric: false_declines", "metric: happiness", 10, "guardrails.0.metric"),
        ("name: treatment", "name: control", 1, "the same name"),
        ("effect: 0.2", "effect: [", 10, "not YAML"),
    ],
)
def test_a_wrong_definition_is_refused_with_line_and_reason(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    with pytest.raises(BadConfig) as refused:
        read_experiment(write(tmp_path, TEXT.replace(old, new)))
    assert f"experiment.yaml:{line}: " in str(refused.value)
    assert words in str(refused.value)


def test_it_runs_from_start_to_stop(tmp_path: Path) -> None:
    file = ExperimentFile(write(tmp_path))
    moments = [datetime(year, 1, 1, tzinfo=UTC) for year in (2025, 2026, 2098, 2099)]
    assert [file.running(at) is not None for at in moments] == [False, True, True, False]
    assert [arm.shadow for arm in file.experiment.arms] == [Alias.CHALLENGER, None]


def test_a_stop_record_is_followed_at_the_next_look_and_only_by_its_own_experiment(tmp_path: Path) -> None:
    file = ExperimentFile(path := write(tmp_path))
    first = stop_experiment(path, file.experiment, "guardrail", "too many declines")
    assert stop_experiment(path, file.experiment, "somebody", "else") == first
    assert file.running() is not None
    file.look()
    assert file.running() is None
    write(tmp_path, TEXT.replace("challenger-7", "challenger-8"))
    file.look()
    assert file.running() is not None


def test_a_stop_record_that_cannot_be_read_stops(tmp_path: Path) -> None:
    file = ExperimentFile(path := write(tmp_path))
    stop_file(path).write_text("half a rec")
    file.look()
    assert file.running() is None


def test_there_is_an_experiment_while_there_is_a_definition(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    file = ExperimentFile(path)
    assert file.running() is None
    write(tmp_path)
    file.look()
    assert file.running() is not None
    path.unlink()
    file.look()
    assert file.running() is None


def test_a_stop_record_may_go_elsewhere(tmp_path: Path) -> None:
    path, taken = write(tmp_path), {}
    stop = stop_experiment(path, read_experiment(path), "guardrail", "enough", taken.__setitem__)
    assert not stop_file(path).exists()
    assert Stop.model_validate_json(taken[stop_file(path)]) == stop


def test_a_definition_that_becomes_wrong_changes_nothing(tmp_path: Path) -> None:
    file = ExperimentFile(write(tmp_path))
    write(tmp_path, TEXT.replace("effect: 0.2", "effect: none"))
    file.look()
    assert file.experiment.effect == 0.2
    assert "effect" in file.refused
    write(tmp_path, TEXT.replace("effect: 0.2", "effect: 0.4"))
    file.look()
    assert (file.experiment.effect, file.refused) == (0.4, "")
