"""What is said where no registry answers."""

import pytest

from fraud.errors import Unavailable
from fraud.model.registry import open_registry


def test_a_registry_that_does_not_run_is_said_with_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(
            Unavailable, match=r"no MLflow answers at http://127.0.0.1:9 .*`fraud up mlflow` starts"
        ),
        open_registry("http://127.0.0.1:9", "fraud"),
    ):
        pass
