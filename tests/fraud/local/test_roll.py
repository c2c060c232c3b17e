"""A changed schema is taken into force only where the platform can go on with it."""

from dataclasses import replace
from pathlib import Path

import pytest

from fraud.errors import BadInput, Unavailable
from fraud.local import platform
from fraud.local.parts import PartTable
from fraud.local.platform import State
from fraud.local.roll import roll
from fraud.local.settings import LocalSettings
from fraud.schema.reading import DEFAULT, read_schema
from tests.fraud.local.test_platform import _part

TABLE = PartTable((_part("broker"), _part("mlflow"), _part("predictor")))


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(home=tmp_path / "home", kafka_port=0, mlflow_port=0, predictor_port=0)


def changed(folder: Path, old: str, new: str) -> Path:
    """Write the packaged schema with one change."""
    text = DEFAULT.read_text()
    assert old in text
    file = folder / "new.yaml"
    file.write_text(text.replace(old, new, 1))
    return file


def test_tables_that_cannot_go_on_are_left_alone(settings: LocalSettings, tmp_path: Path) -> None:
    file = changed(tmp_path, "[latitude, longitude]", "[lat, lng]")
    with pytest.raises(BadInput, match="use another home"):
        roll(settings, file, table=TABLE)


def test_new_vectors_need_a_model(settings: LocalSettings, tmp_path: Path) -> None:
    file = changed(tmp_path, "  - weekday\n", "")
    with pytest.raises(BadInput, match=r"train a model first .*--model"):
        roll(settings, file, table=TABLE)


def test_a_platform_that_does_not_run_is_told_to_start(settings: LocalSettings, tmp_path: Path) -> None:
    file = changed(tmp_path, "segments: [category]", "segments: [channel]")
    with pytest.raises(Unavailable, match=r"not ready: broker, mlflow, predictor\. Run `fraud up`"):
        roll(settings, file, table=TABLE)


def test_an_old_store_of_the_same_version_does_not_take_the_place_of_the_one_in_use(
    settings: LocalSettings, tmp_path: Path
) -> None:
    """An earlier change leaves ``store-<version>``; one of words alone has that very version."""
    table = PartTable((_part("broker"), _part("mlflow"), replace(_part("predictor"), name="stream")))
    file = changed(tmp_path, "segments: [category]", "segments: [channel]")
    stream = settings.home_path / "stream"
    old = stream / f"store-{read_schema(file).version}"
    for folder in (stream / "store", old):
        folder.mkdir(parents=True)
        (folder / "name").write_text(folder.name)
    try:
        platform.up(settings, table.names, table=table)
        roll(settings, file, table=table)
    finally:
        platform.down(settings, table=table)
    assert (stream / "store" / "name").read_text() == "store"
    assert (old / "name").read_text() == old.name


def test_words_alone_need_neither_states_nor_a_model(settings: LocalSettings, tmp_path: Path) -> None:
    """The parts that read the schema start again; the others run on."""
    stream = replace(_part("predictor"), name="stream")
    table = PartTable((_part("broker"), _part("mlflow"), stream))
    file = changed(tmp_path, "segments: [category]", "segments: [channel]")
    try:
        before = {part.name: part for part in platform.up(settings, table.names, table=table)}
        roll(settings, file, table=table)
        after = platform.status(settings, table)
    finally:
        platform.down(settings, table=table)
    assert [part.state for part in after] == [State.READY] * 3
    assert {part.name for part in after if part.pid != before[part.name].pid} == {"stream"}
    assert [part.port for part in after] == [part.port for part in before.values()]
    assert (settings.home_path / "schema.yaml").read_bytes() == file.read_bytes()
