"""A platform that runs changes its schema by a roll, not by a file that its parts would read one by one."""

from dataclasses import replace
from pathlib import Path

import pytest

from fraud.errors import BadInput
from fraud.local import platform
from fraud.local.parts import PartTable
from fraud.local.schema import use_schema
from fraud.local.settings import LocalSettings
from fraud.schema.reading import DEFAULT
from tests.fraud.local.test_platform import _part
from tests.fraud.local.test_roll import changed

TABLE = PartTable((_part("broker"), replace(_part("predictor"), name="stream")))


def test_another_schema_is_refused_while_the_platform_runs(tmp_path: Path) -> None:
    settings = LocalSettings(home=tmp_path / "home", kafka_port=0, predictor_port=0)
    (settings.home_path / "stream" / "checkpoint").mkdir(parents=True)
    file, own = changed(tmp_path, "  - weekday\n", ""), settings.home_path / "schema.yaml"
    try:
        platform.up(settings, table=TABLE, parts=TABLE.names)
        with pytest.raises(
            BadInput, match=r"runs \(broker, stream\) .*day_of_week is gone.*`fraud roll .*new.yaml`"
        ):
            use_schema(settings, file, TABLE)
        assert not own.exists()
        assert "runs with it" in use_schema(settings, DEFAULT, TABLE)[0], "nothing changes"
    finally:
        platform.down(settings, table=TABLE)
    said = use_schema(settings, file, TABLE)
    assert said[1:] == [
        "`fraud up broker mlflow`, `fraud train ...`, `fraud promote VERSION`: a model on the new vectors"
    ]
    assert own.read_bytes() == file.read_bytes()
