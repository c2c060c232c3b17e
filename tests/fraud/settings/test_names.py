"""A name that there is not is answered with the nearest one, by every command alike."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.settings.names import LISTED, suggest


def test_a_near_name_is_asked_for_and_others_are_listed_up_to_a_bound() -> None:
    names = [f"feature_{i}_by_{word}" for i in range(50) for word in ("card", "email")]
    assert suggest("feature_7_by_crad", names) == "did you mean feature_7_by_card?"
    assert suggest("?", names) == f"write one of {', '.join(names[:LISTED])}, ... (100 in all)"
    assert suggest("?", names, "`fraud features list` names them") == "`fraud features list` names them"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("schem check x", "no command 'schem'; did you mean schema?"),
        ("xyzzy", "no command 'xyzzy'; `fraud --help` lists them"),
        ("schema chek x", "No such command 'chek'. Did you mean 'check'?"),
        ("features explain amount_men_24h_by_user", "did you mean amount_mean_24h_by_user?"),
        ("features explain zzz", "no feature 'zzz'; `fraud features list` names them all"),
        ("features list --family velocty", "no family 'velocty'; did you mean velocity?"),
        ("up strem", "there is no part 'strem'; did you mean stream?"),
        ("restart strem", "there is no part 'strem'; did you mean stream?"),
        ("restart broker", "broker cannot be replaced while it runs; these can: stream, scoring"),
        ("bench all --against HEAD --only strem", "no measurement 'strem'; did you mean stream?"),
        ("store inspect --entity merchnt --key x", "no such entity; did you mean merchant?"),
    ],
)
def test_commands_name_the_nearest(words: str, said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, words.split(), env={"FRAUD_LOCAL_HOME": str(tmp_path / "home")})
    assert done.exit_code != 0
    assert said in re.sub(r"\s+", " ", done.output)
    assert not (tmp_path / "home").exists()


def test_a_misspelt_variable_of_the_platform_is_refused_and_not_ignored(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    wrong = {"FRAUD_LOCAL_HOME": home, "FRAUD_LOCAL_KAFKA_PROT": "9095"}
    done = CliRunner().invoke(app, ["status"], env=wrong)
    assert done.exit_code == 1
    assert (
        "FRAUD_LOCAL_KAFKA_PROT: there is no such setting; did you mean FRAUD_LOCAL_KAFKA_PORT?"
        in done.output
    )
    right = {"FRAUD_LOCAL_HOME": home, "fraud_local_kafka_port": "9095"}
    assert CliRunner().invoke(app, ["status"], env=right).exit_code == 0
