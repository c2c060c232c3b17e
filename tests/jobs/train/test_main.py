"""The training job as a program."""

import mlflow
import pytest

from fraud.model.aliases import CHAMPION
from jobs.train.main import main


def test_a_first_model_is_trained_only_where_there_is_none(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("FRAUD_TRAIN_MLFLOW_URI", uri)
    monkeypatch.setenv("FRAUD_TRAIN_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("FRAUD_TRAIN_ONLY_FIRST", "true")
    assert main() == 1, "there is no champion, so it trains, and finds no data"
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("fraud")
    version = client.create_model_version("fraud", str(tmp_path / "model"))
    client.set_registered_model_alias("fraud", CHAMPION, version.version)
    assert main() == 0
    assert "nothing to do" in capsys.readouterr().err
