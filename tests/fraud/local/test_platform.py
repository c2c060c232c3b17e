"""The supervisor over tiny parts of our own: order, repetition, crashes, two callers at once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest
from typer.testing import CliRunner

from fraud import cli
from fraud.errors import BadConfig, Unavailable
from fraud.local import platform, process
from fraud.local.parts import Part, PartTable, _inherited
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from fraud.runtime.waiting import wait_until
from fraud.tools.demo.run import _begin_with_nothing

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
NAMES = ("broker", "mlflow", "predictor")
PORT_OF = {"broker": "kafka", "mlflow": "mlflow", "predictor": "predictor"}


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _part(name: str, code: str = SERVER, needs: tuple[str, ...] = (), **more) -> Part:
    port = PORT_OF[name]
    return Part(
        name=name,
        ports=(port,),
        needs=needs,
        prepare=lambda _place, _tell: None,
        command=lambda place: [sys.executable, "-c", code, str(place.ports[port])],
        environment=lambda _place: dict(os.environ),
        is_ready=lambda place: _is_ok(place.url(port)),
        url=lambda place: place.url(port),
        stop_timeout_s=10.0,
        **{"needs_champion": False, **more},
    )


def _table(*parts: Part, has_champion: bool = True) -> PartTable:
    return PartTable(parts, lambda _place: has_champion)


THREE = _table(_part("broker"), _part("mlflow"), _part("predictor", needs=("mlflow",)))


@pytest.fixture
def settings(tmp_path):
    made = LocalSettings(
        home=tmp_path / "a home",
        kafka_port=0,
        kafka_controller_port=0,
        mlflow_port=0,
        predictor_port=0,
        stream_metrics_port=0,
        scoring_port=0,
        console_port=0,
        ready_timeout_s=60.0,
    )
    yield made
    platform.down(made, table=THREE)


def _up(settings, *parts, table=THREE):
    return {part.name: part for part in platform.up(settings, parts or NAMES, table=table)}


def _states(settings, table=THREE):
    return [part.state for part in platform.status(settings, table)]


def _kill(part):
    os.kill(part.pid, signal.SIGKILL)
    record = process.load(part.log.parents[1] / "run" / f"{part.name}.json")
    assert wait_until(lambda: not process.is_alive(record), 10)


def test_before_the_first_up_everything_is_stopped(settings):
    assert _states(settings) == [State.STOPPED] * 3
    platform.down(settings, table=THREE)
    platform.check(settings, THREE)


def test_up_starts_all_and_a_second_up_starts_nothing(settings):
    first = _up(settings)
    assert [first[name].state for name in NAMES] == [State.READY] * 3
    assert _up(settings) == first


def test_up_of_one_part_starts_what_it_needs_and_no_more(settings):
    found = _up(settings, "predictor")
    assert {name for name, part in found.items() if part.state is State.READY} == {"mlflow", "predictor"}


def test_a_part_that_waits_for_another_itself_starts_beside_it_and_brings_it_along(settings, tmp_path):
    gate = tmp_path / "gate"
    slow = replace(_part("mlflow"), is_ready=lambda _place: gate.exists())
    # Only its start lets the other be ready.
    opens = f"import pathlib; pathlib.Path({str(gate)!r}).touch()" + SERVER
    table = _table(slow, _part("predictor", opens, waits_for=("mlflow",)))
    found = _up(settings, "predictor", table=table)
    assert [part.state for part in found.values()] == [State.READY, State.READY]


def test_a_part_that_starts_while_the_others_are_looked_at_is_told_of_the_next_time(settings):
    _up(settings, "broker", "mlflow")
    record = settings.home_path / "run" / "mlflow.json"
    hidden = record.with_suffix(".hidden")
    record.rename(hidden)

    def starts_another(_place):
        hidden.rename(record)
        return True

    changing = _table(replace(_part("broker"), is_ready=starts_another), _part("mlflow"))
    assert _states(settings, changing) == [State.READY, State.STOPPED]
    assert _states(settings, _table(_part("broker"), _part("mlflow"))) == [State.READY, State.READY]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_full_disk_is_told_in_a_line_and_the_first_up_with_room_starts_all(settings, small_disk):
    settings = settings.model_copy(update={"home": small_disk / "home"})
    settings.home_path.mkdir()
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(Unavailable, match=r"cannot be written \(No space left on device\): make room"):
        _up(settings)
    ballast.unlink()
    try:
        assert [part.state for part in _up(settings).values()] == [State.READY] * 3
    finally:
        platform.down(settings, table=THREE)


def test_an_unknown_part_is_refused(settings):
    with pytest.raises(BadConfig, match="no part 'nothing'; write one of broker, mlflow, predictor"):
        platform.up(settings, ["nothing"], table=THREE)


def test_down_ends_every_part_and_a_second_down_does_nothing(settings):
    found = _up(settings)
    told = []
    platform.down(settings, told.append, THREE)
    assert told == ["stopping predictor", "stopping mlflow", "stopping broker"]
    assert _states(settings) == [State.STOPPED] * 3
    assert not any(_is_ok(part.url) for part in found.values())
    platform.down(settings, pytest.fail, THREE)


def test_a_part_that_dies_later_is_reported_with_its_log_and_started_again_at_its_port(settings):
    before = _up(settings)
    _kill(before["broker"])
    after = {part.name: part for part in platform.status(settings, THREE)}
    assert after["broker"].state is State.CRASHED
    assert "SIGKILL" in after["broker"].detail
    assert after["broker"].detail.endswith("serving")
    assert after["mlflow"].state is State.READY
    with pytest.raises(Unavailable, match=r"(?s)broker was ended by SIGKILL.*serving"):
        platform.check(settings, THREE)
    again = _up(settings)
    assert again["broker"].port == before["broker"].port
    assert again["broker"].pid != before["broker"].pid
    assert again["mlflow"] == before["mlflow"]
    platform.check(settings, THREE)


def test_a_part_that_dies_while_it_starts_is_reported_with_its_log(settings):
    table = _table(_part("broker"), _part("mlflow", "raise SystemExit('no such thing')"))
    with pytest.raises(Unavailable, match=r"(?s)mlflow ended with exit code 1; the end of .*no such thing"):
        platform.up(settings, ["broker", "mlflow"], table=table)
    assert _states(settings, table) == [State.READY, State.CRASHED]


def test_a_part_that_is_never_ready_is_reported_with_its_log(settings):
    table = _table(_part("mlflow", "print('thinking', flush=True)\nimport time\ntime.sleep(600)"))
    hasty = settings.model_copy(update={"ready_timeout_s": 2.0})
    with pytest.raises(
        Unavailable, match=r"(?s)mlflow is not ready after 2 s .*READY_TIMEOUT_S.*; the end of .*thinking"
    ):
        platform.up(hasty, ["mlflow"], table=table)
    assert _states(settings, table) == [State.NOT_READY]


def test_a_busy_port_is_refused_before_anything_starts(settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = settings.model_copy(update={"predictor_port": port})
        with pytest.raises(BadConfig, match=rf"port {port}, which predictor .* FRAUD_LOCAL_PREDICTOR_PORT"):
            platform.up(taken, NAMES, table=THREE)
    assert _states(settings) == [State.STOPPED] * 3


def test_a_running_part_keeps_its_port_whatever_the_setting(settings):
    first = _up(settings, "mlflow")
    with socket.create_server(("127.0.0.1", 0)) as other:
        changed = settings.model_copy(update={"mlflow_port": other.getsockname()[1]})
        assert _up(changed, "mlflow") == first


def test_without_a_champion_the_parts_that_need_one_wait(settings):
    parts = _part("mlflow"), _part("predictor", needs=("mlflow",), needs_champion=True), _part("broker")
    told = []
    found = platform.up(settings, NAMES, told.append, _table(*parts, has_champion=False))
    assert [part.state for part in found] == [State.READY, State.STOPPED, State.READY]
    assert told.count(platform.NO_CHAMPION) == 1
    found = platform.up(settings, NAMES, told.append, _table(*parts))
    assert {part.state for part in found} == {State.READY}


def test_a_folder_that_held_something_is_never_taken_for_ours(settings, tmp_path):
    theirs = tmp_path / "photos"
    theirs.mkdir()
    (theirs / "one.jpg").touch()
    platform.down(settings.model_copy(update={"home": theirs}))
    with pytest.raises(BadConfig, match="something else"):
        _begin_with_nothing(settings.model_copy(update={"home": theirs}))
    assert (theirs / "one.jpg").exists()
    _up(settings, "mlflow")
    for _ in range(2):
        _begin_with_nothing(settings)
        assert [file.name for file in settings.home_path.iterdir()] == [platform.OURS]
        (settings.home_path / "data").touch()


def test_files_that_settings_name_are_those_beside_the_caller(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAUD_SCORING_KEYS_FILE", "keys.yaml")
    monkeypatch.setenv("FRAUD_SCORING_RULES_FILE", "/etc/rules.yaml")
    found = _inherited()
    assert found["FRAUD_SCORING_KEYS_FILE"] == str(tmp_path / "keys.yaml")
    assert found["FRAUD_SCORING_RULES_FILE"] == "/etc/rules.yaml"


def test_two_ups_at_once_start_each_part_once(settings):
    found = []
    callers = [threading.Thread(target=lambda: found.append(_up(settings))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_status_as_json_holds_one_object_a_part(settings):
    started = _up(settings, "broker")["broker"]
    result = CliRunner().invoke(cli.app, ["status", "--json", "--home", str(settings.home)], obj=THREE)
    assert result.exit_code == 0, result.output
    broker, mlflow, _ = json.loads(result.output)
    assert broker["name"] == "broker"
    assert broker["state"] == "ready"
    assert broker["pid"] == started.pid
    assert broker["url"] == f"http://127.0.0.1:{broker['port']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", broker["since"])
    assert mlflow["state"] == "stopped"
    assert mlflow["pid"] is None


def test_status_after_a_crash_shows_the_log_and_fails(settings):
    _kill(_up(settings, "broker")["broker"])
    result = CliRunner().invoke(cli.app, ["status", "--home", str(settings.home)], obj=THREE)
    assert result.exit_code == 1
    assert "crashed" in result.output
    assert "serving" in result.output


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("FRAUD_LOCAL_KAFKA_PORT", "a lot")
    result = CliRunner().invoke(cli.app, ["status"])
    assert result.exit_code == 1
    assert "FRAUD_LOCAL_KAFKA_PORT" in result.output


SLEEPER = "print('thinking', flush=True)\nimport time\ntime.sleep(600)"


def _is_started(settings, name):
    record = process.load(settings.home_path / "run" / f"{name}.json")
    return record is not None and process.is_alive(record)


def test_down_during_a_start_ends_the_start_and_leaves_nothing(settings):
    table = _table(_part("broker"), _part("mlflow", SLEEPER))
    failed = []

    def start():
        try:
            platform.up(settings, ["broker", "mlflow"], table=table)
        except Unavailable as error:
            failed.append(str(error))

    caller = threading.Thread(target=start)
    caller.start()
    assert wait_until(lambda: _is_started(settings, "mlflow"), 30)
    records = [process.load(settings.home_path / "run" / f"{name}.json") for name in ("broker", "mlflow")]
    platform.down(settings, table=table)
    caller.join(10)
    assert failed
    assert "`fraud down` was called before" in failed[0]
    assert not any(map(process.is_alive, records))
    table = _table(_part("broker"), _part("mlflow"))
    assert {part.state for part in _up(settings, "broker", "mlflow", table=table).values()} == {State.READY}


def test_ctrl_c_during_a_start_stops_what_it_has_started_and_nothing_else(settings):
    asked = threading.Event()
    slow = replace(_part("mlflow", SLEEPER), is_ready=lambda _place: bool(asked.set()))
    table = _table(_part("broker"), slow)
    before = _up(settings, "broker", table=table)["broker"]

    def interrupt():
        asked.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    caller = threading.Thread(target=interrupt)
    caller.start()
    with pytest.raises(KeyboardInterrupt):
        platform.up(settings, ["broker", "mlflow"], table=table)
    caller.join()
    assert _states(settings, table) == [State.READY, State.STOPPED]
    assert platform.status(settings, table)[0].pid == before.pid


def test_a_kept_port_is_chosen_with_its_part_and_stays(settings):
    table = _table(_part("mlflow"), _part("predictor", kept_ports=("canary",)))
    free = settings.model_copy(update={"canary_port": 0})
    _up(free, "predictor", table=table)
    chosen = process.load(settings.home_path / "run" / "predictor.json").ports
    assert chosen["canary"] not in {0, chosen["predictor"]}
    _kill(_up(free, "predictor", table=table)["predictor"])
    with socket.create_server(("127.0.0.1", chosen["canary"])):  # a rollout is under way
        _up(free, "predictor", table=table)
    assert process.load(settings.home_path / "run" / "predictor.json").ports == chosen
