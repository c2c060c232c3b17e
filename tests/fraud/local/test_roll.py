"""A changed schema is taken into force only where the platform can go on with it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.contracts import SCORED
from fraud.errors import BadInput, Unavailable
from fraud.local import platform
from fraud.local.parts import PartTable
from fraud.local.platform import State
from fraud.local.roll import roll
from fraud.local.settings import LocalSettings
from fraud.schema.reading import DEFAULT, read_schema
from fraud.store import open_store
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES
from tests.fraud.kafka.broker import Broker
from tests.fraud.local.test_platform import SERVER, _part
from tests.jobs.conftest import log_copy, played
from tests.services.predictor.conftest import Registry, make_model

__all__ = ["log_copy", "played"]

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
    with pytest.raises(
        BadInput, match=r"other columns: refused: .* give the field another name.*another home"
    ):
        roll(settings, file, table=TABLE)


def test_currencies_cannot_be_added_while_it_runs_and_the_words_say_how_they_can(
    settings: LocalSettings, tmp_path: Path
) -> None:
    file = changed(tmp_path, "format: 1\n", "format: 1\nmoney: {base: USD}\n")
    words = (
        r"amounts in USD, not amounts as they come: refused: start another deployment; .*FRAUD_BACKFILL_DATA"
    )
    with pytest.raises(BadInput, match=words):
        roll(settings, file, table=TABLE)


def test_an_unchanged_schema_is_said_and_nothing_is_done(settings: LocalSettings, tmp_path: Path) -> None:
    """A comment makes no difference; a model does."""
    file = tmp_path / "same.yaml"
    file.write_bytes(b"# the packaged one\n" + DEFAULT.read_bytes())
    assert roll(settings, file, table=TABLE) is None
    done = CliRunner().invoke(app, ["roll", str(file), "--home", str(settings.home_path)])
    assert done.exit_code == 0
    assert "nothing differs between" in done.output
    assert not settings.home_path.exists()
    with pytest.raises(Unavailable, match="not ready: broker"):
        roll(settings, file, "2", table=TABLE)


def test_a_schema_that_the_environment_names_is_refused(
    settings: LocalSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next processes would read that file, not what is rolled."""
    file = changed(tmp_path, "segments: [category]", "segments: [channel]")
    monkeypatch.setenv("FRAUD_SCHEMA_FILE", str(file))
    with pytest.raises(BadInput, match=r"FRAUD_SCHEMA_FILE names .*new.yaml.*Unset FRAUD_SCHEMA_FILE"):
        roll(settings, file, table=TABLE)
    monkeypatch.setenv("FRAUD_SCHEMA_FILE", str(settings.home_path / "schema.yaml"))
    with pytest.raises(Unavailable, match="not ready: broker"):
        roll(settings, file, table=TABLE)


def test_new_vectors_need_a_model(settings: LocalSettings, tmp_path: Path) -> None:
    file = changed(tmp_path, "  - weekday\n", "")
    with pytest.raises(BadInput, match=r"train a model first .*--model"):
        roll(settings, file, table=TABLE)


@pytest.mark.parametrize(
    ("model", "words"),
    [("1", "version 1 was trained with features .*, not with "), ("9", "fraud has no version 9")],
)
def test_a_model_that_does_not_fit_stops_nothing(
    settings: LocalSettings, tmp_path: Path, model: str, words: str
) -> None:
    """It is refused before the stream stops and before anything is put back."""
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    registry.register(make_model(1))
    mlflow = replace(_part("mlflow"), url=lambda _place: registry.uri)
    table = PartTable((_part("broker"), mlflow, replace(_part("predictor"), name="stream")))
    file, said = changed(tmp_path, "  - weekday\n", ""), list[str]()
    try:
        before = platform.up(settings, table.names, table=table)
        with pytest.raises(Unavailable, match=words):
            roll(settings, file, model, said.append, table)
        after = platform.status(settings, table)
    finally:
        platform.down(settings, table=table)
    assert [(part.state, part.pid) for part in after] == [(State.READY, part.pid) for part in before]
    assert said == []
    assert not (settings.home_path / "schema.yaml").exists()


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


ENDS = f"""
import pathlib
assert "device_id, events" not in pathlib.Path("../schema.yaml").read_text()
{SERVER}
"""
"""A stream that ends at once with the new schema."""


def with_device(folder: Path) -> Path:
    return changed(folder, "features:\n", "  device: {key: device_id, events: 64}\nfeatures:\n")


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("data.mdb"))}


@pytest.fixture
def kafka() -> Iterator[Broker]:
    """Brokers whose topic ``scored`` holds nothing that can be read."""
    found = Broker()
    found.send(SCORED, b"no record")
    yield found
    found.stop()


def table_with(code: str, kafka: Broker) -> PartTable:
    stream = replace(_part("predictor", code), name="stream")
    broker = replace(_part("broker"), url=lambda _place: kafka.address)
    return PartTable((broker, _part("mlflow"), stream), lambda _place: True)


@pytest.fixture
def home(settings: LocalSettings, log_copy: StreamSettings) -> Path:
    """A platform whose stream has a log, a checkpoint and a store."""
    shutil.copytree(log_copy.home, settings.home_path / "stream")
    (settings.home_path / "schema.yaml").write_bytes(DEFAULT.read_bytes())
    (settings.home_path / ".fraud-home").touch()
    return settings.home_path


def test_a_change_that_fails_leaves_all_as_it_was(
    settings: LocalSettings, home: Path, kafka: Broker, tmp_path: Path
) -> None:
    """The new stream ends at once, after the stores and the schema have changed places."""
    table, before = table_with(ENDS, kafka), content_of(home / "stream" / "store")
    file, said = with_device(tmp_path), list[str]()
    (home / "stream" / "store-filling").mkdir()  # of a change that was interrupted
    try:
        ports = [part.port for part in platform.up(settings, table.names, table=table)]
        with pytest.raises(Unavailable, match="stream ended"):
            roll(settings, file, tell=said.append, table=table)
        after = platform.status(settings, table)
        assert [part.state for part in after] == [State.READY] * 3
        assert [part.port for part in after] == ports
        assert (home / "schema.yaml").read_bytes() == DEFAULT.read_bytes()
        assert content_of(home / "stream" / "store") == before
        assert [folder.name for folder in (home / "stream").glob("store*")] == ["store"]
        assert "the change failed: all is put back as it was" in said
        assert not any("not all could" in words for words in said)
    finally:
        platform.down(settings, table=table)
    assert [part.state for part in platform.status(settings, table)] == [State.STOPPED] * 3


def test_a_log_that_cannot_be_folded_stops_nothing_for_long(
    settings: LocalSettings, home: Path, kafka: Broker, tmp_path: Path
) -> None:
    """The checkpoint has a micro-batch that the log lacks: the filling fails after the stream stopped."""
    table, before = table_with(SERVER, kafka), content_of(home / "stream" / "store")
    newest = max(int(commit.name) for commit in (home / "stream/checkpoint/commits").iterdir())
    (home / "stream/checkpoint/commits" / str(newest + 1)).touch()
    try:
        platform.up(settings, table.names, table=table)
        with pytest.raises(Unavailable, match="not filled"):
            roll(settings, with_device(tmp_path), table=table)
        assert [part.state for part in platform.status(settings, table)] == [State.READY] * 3
    finally:
        platform.down(settings, table=table)
    assert content_of(home / "stream" / "store") == before
    assert not (home / "stream" / "store-filling").exists()


def test_a_change_of_states_puts_the_filled_store_in_the_old_one_s_place(
    settings: LocalSettings, home: Path, kafka: Broker, tmp_path: Path
) -> None:
    table, file = table_with(SERVER, kafka), with_device(tmp_path)
    before, old = content_of(home / "stream" / "store"), read_schema(home / "schema.yaml").version
    try:
        platform.up(settings, table.names, table=table)
        roll(settings, file, table=table)
    finally:
        platform.down(settings, table=table)
    assert content_of(home / "stream" / f"store-{old}") == before
    with open_store(f"lmdb://{home / 'stream' / 'store'}", (*ENTITIES, "device")) as store:
        assert next(store.scan("device"))
    assert (home / "schema.yaml").read_bytes() == file.read_bytes()
