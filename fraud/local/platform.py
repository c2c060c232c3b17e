"""Start, look at and stop the embedded platform.

Keeps all state in the home folder: ``run/<part>.json`` says what was started, ``logs/<part>.log`` what it
said, ``<part>/`` holds its data; ``prometheus.yml`` lets a Prometheus scrape them. Every command may be
repeated; parts outlive the command.
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from fraud.errors import BadConfig, Unavailable
from fraud.local import process
from fraud.local.cache import is_locked, locked
from fraud.local.jars import Tell
from fraud.local.limits import raise_open_files
from fraud.local.parts import TABLE, Part, PartTable, Place
from fraud.local.ports import check_ports, choose_ports, is_free
from fraud.local.process import ProcessRecord
from fraud.local.prometheus import write_config
from fraud.local.settings import LocalSettings
from fraud.runtime.waiting import wait_until
from fraud.settings.home import MARK

PART_NAMES: Final = TABLE.names
OURS: Final = MARK
NO_CHAMPION: Final = (
    "the registry has no champion yet: `fraud train` makes one, then `fraud up` again starts the rest"
)

_POLL_S: Final = 0.25
_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class State(StrEnum):
    """Of a part."""

    READY = "ready"
    NOT_READY = "not ready"
    """It runs and does not answer, or not yet."""
    CRASHED = "crashed"
    """It was started and has ended without being stopped."""
    STOPPED = "stopped"


class PartStatus(BaseModel):
    """What is known about one part."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    pid: int | None = None
    port: int | None = None
    url: str | None = None
    since: datetime | None = None
    """When it was started, UTC."""
    log: Path | None = None
    detail: str = ""
    """Of a crashed part: how it ended and the tail of its log."""


def up(
    settings: LocalSettings,
    parts: Sequence[str] = PART_NAMES,
    tell: Tell = lambda _text: None,
    table: PartTable = TABLE,
) -> list[PartStatus]:
    """Start what does not run yet, each part once those that it needs are ready.

    Parameters
    ----------
    settings
        Where, and on which ports. A part that runs keeps its port.
    parts
        Which ones; what they need is started too.
    tell
        Takes words of progress.
    table
        All parts that there are; also of `down`, `status` and `check`.

    Returns
    -------
    list of PartStatus
        Of all parts. Those that need a model are left stopped, with words to ``tell``, while the
        registry has no champion.

    Raises
    ------
    BadConfig
        When a port is taken (before anything is started), a part is unknown, Java is missing, or too few
        files may be open.
    Unavailable
        When a part ends while starting or is not ready in time (with the tail of its log), jars cannot be
        fetched, or `down` asks for the end. What was started continues running.
    KeyboardInterrupt
        After what this call has started has been stopped.
    """
    wanted = table.with_needs(parts)
    raise_open_files()
    with _alone(settings, tell):
        missing = [part for part in wanted if not _is_running(settings, part)]
        for part in missing:
            _sweep(settings, part)
        place = Place(settings, _settle_ports(settings, missing, table))
        write_config(place)
        try:
            _start_all(wanted, missing, place, tell, table)
        except KeyboardInterrupt:
            for part in reversed(missing):
                _stop(settings, part, tell)
            raise
    return status(settings, table)


def down(settings: LocalSettings, tell: Tell = lambda _text: None, table: PartTable = TABLE) -> None:
    """Stop every part that was started from this home folder, last one first, and nothing else.

    Parameters
    ----------
    settings
        Only the home folder matters.
    tell
        Takes words of progress.
    """
    if not settings.home_path.exists():
        return
    with ExitStack() as asking:
        asking.enter_context(locked(_stop_file(settings)))  # an `up` under way sees it and gives up
        with _alone(settings, tell):
            asking.close()
            for part in reversed(table.parts):
                end_successor(settings, part)  # of a `fraud restart` or `fraud roll` that was killed
                _stop(settings, part, tell)


def stop(
    settings: LocalSettings, names: Sequence[str], tell: Tell = lambda _text: None, table: PartTable = TABLE
) -> None:
    """Stop some parts, the last one first; the others run on."""
    with _alone(settings, tell):
        for part in reversed(table.parts):
            if part.name in names:
                _stop(settings, part, tell)


def keeping_ports(settings: LocalSettings, table: PartTable = TABLE) -> LocalSettings:
    """Fix the ports that the running parts have chosen: a part that is started again keeps its address."""
    ports = _ports(_records(settings, table))
    return settings.model_copy(update={f"{name}_port": port for name, port in ports.items()})


def status(settings: LocalSettings, table: PartTable = TABLE) -> list[PartStatus]:
    """Look at every part, in the order of their start."""
    records = _records(settings, table)  # once: another process may start a part while we look
    place = Place(settings, _ports(records))
    return [_status_of(part, records.get(part.name), place) for part in table.parts]


def check(settings: LocalSettings, table: PartTable = TABLE) -> None:
    """Make sure that no part has crashed.

    Raises
    ------
    Unavailable
        When one has; the message carries the tail of its log.
    """
    crashed = [part for part in status(settings, table) if part.state is State.CRASHED]
    if crashed:
        raise Unavailable("\n".join(f"{part.name} {part.detail}" for part in crashed))


@contextmanager
def _alone(settings: LocalSettings, tell: Tell) -> Iterator[None]:
    """Keep a second `up` or `down` over the same home waiting."""
    home = settings.home_path
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not any(home.iterdir()):
            (home / OURS).touch()
    except OSError as error:
        raise BadConfig(
            f"the home folder {home} cannot be made ({error.strerror}); set FRAUD_LOCAL_HOME"
        ) from error
    waiting = "waiting for another `fraud up` or `fraud down` to finish"
    with _writing(home), locked(home / "lock", lambda: tell(waiting)):
        yield


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    """Say in words that the home folder's disk is full or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise Unavailable(
            f"the home folder {home} cannot be written ({error.strerror}): make room, or make it writable, "
            "then run the command again; parts that already run continue"
        ) from error


def _stop(settings: LocalSettings, part: Part, tell: Tell) -> None:
    record = _record_file(settings, part)
    found = process.load(record)
    if found is None:
        return
    if process.is_alive(found):
        tell(f"stopping {part.name}")
    if not process.stop(found, part.stop_timeout_s):
        tell(f"{part.name} did not end within {part.stop_timeout_s:.0f} s and was killed")
    record.unlink()


def successor_record(settings: LocalSettings, part: Part) -> Path:
    """Name the record of a process that is to take a part's place (``fraud.local.standby``)."""
    return settings.home_path / "run" / f"{part.name}.next.json"


def end_successor(settings: LocalSettings, part: Part) -> None:
    """End a process that was to take a part's place and has not."""
    record = successor_record(settings, part)
    found = process.load(record)
    if found is not None:
        process.stop(found, part.stop_timeout_s)
        record.unlink()


def _check_wanted(settings: LocalSettings, part: Part) -> None:
    if is_locked(_stop_file(settings)):
        raise Unavailable(f"`fraud down` was called before {part.name} was ready")


def _sweep(settings: LocalSettings, part: Part) -> None:
    """End what a crashed part left behind, e.g. a child that holds its port."""
    found = process.load(_record_file(settings, part))
    if found is not None:
        process.stop(found, part.stop_timeout_s)


def _settle_ports(settings: LocalSettings, missing: Sequence[Part], table: PartTable) -> dict[str, int]:
    """Fix every port: a running part keeps its own, a missing one gets a free one of its choice."""
    known = _ports(_records(settings, table))
    names = [name for part in missing for name in part.ports]
    kept = [name for part in missing for name in part.kept_ports]
    wanted = {name: _port_setting(settings, name) for name in (*names, *kept)}
    for name, port in wanted.items():
        if port == 0 and name in known and (name in kept or is_free(settings.host, known[name])):
            wanted[name] = known[name]  # clients of a crashed part know this one
    chosen = choose_ports(settings.host, wanted)
    owner = {name: part.name for part in missing for name in part.ports}
    check_ports(
        settings.host,
        [(owner[name], chosen[name], f"FRAUD_LOCAL_{name.upper()}_PORT") for name in names],
    )
    return {**known, **chosen}


def _start_all(
    wanted: Sequence[Part], missing: Sequence[Part], place: Place, tell: Tell, table: PartTable
) -> None:
    """Start every missing part as early as its needs allow, and see that all are ready in the end."""
    waiting: list[Part] = []
    is_without = False
    for part in wanted:
        if any(other.name in part.needs for other in waiting):
            _finish_starts(waiting, missing, place, tell)
            waiting = []
        if part in missing:
            if part.needs_champion and (is_without or not table.has_champion(place)):
                if not is_without:
                    tell(NO_CHAMPION)
                is_without = True
                continue
            tell(f"starting {part.name}")
            _start(part, place, tell)
        waiting.append(part)
    _finish_starts(waiting, missing, place, tell)


def _start(part: Part, place: Place, tell: Tell) -> None:
    _check_wanted(place.settings, part)
    folder = place.folder(part.name)
    folder.mkdir(parents=True, exist_ok=True)
    part.prepare(place, tell)
    process.start(
        part.command(place),
        folder=folder,
        environment=part.environment(place),
        log=place.settings.home_path / "logs" / f"{part.name}.log",
        record=_record_file(place.settings, part),
        ports={name: place.ports[name] for name in (*part.ports, *part.kept_ports)},
    )


def _finish_starts(parts: Sequence[Part], missing: Sequence[Part], place: Place, tell: Tell) -> None:
    """Wait until the parts are ready; one that was running before may still be starting."""
    for part in parts:
        found = process.load(_record_file(place.settings, part))
        if found is None:
            raise Unavailable(f"{part.name} was stopped while it started")
        _wait_ready(part, place, found)
        part.finish(place)
        age_s = (datetime.now(UTC) - found.started_at).total_seconds()
        words = f"is ready after {age_s:.1f} s" if part in missing else "was running"
        tell(f"{part.name} {words}: {part.url(place)}")


def _wait_ready(part: Part, place: Place, found: ProcessRecord) -> None:
    timeout_s = place.settings.ready_timeout_s

    def is_decided() -> bool:
        _check_wanted(place.settings, part)
        return not process.is_alive(found) or part.is_ready(place)

    is_over = wait_until(is_decided, timeout_s, _POLL_S)
    if not process.is_alive(found):
        raise Unavailable(f"{part.name} {_last_words(found)}")
    if not is_over:
        raise Unavailable(
            f"{part.name} is not ready after {timeout_s:.0f} s (on a busy machine, raise "
            f"FRAUD_LOCAL_READY_TIMEOUT_S); {_log_words(found)}"
        )


def _status_of(part: Part, found: ProcessRecord | None, place: Place) -> PartStatus:
    if found is None:
        return PartStatus(name=part.name, state=State.STOPPED)
    if process.is_alive(found):
        state, detail = (State.READY if part.is_ready(place) else State.NOT_READY), ""
    else:
        state, detail = State.CRASHED, _last_words(found)
    return PartStatus(
        name=part.name,
        state=state,
        pid=found.pid,
        port=found.ports[part.ports[0]],
        url=part.url(place),
        since=found.started_at,
        log=found.log,
        detail=detail,
    )


def _last_words(found: ProcessRecord) -> str:
    return f"{process.exit_words(found)}; {_log_words(found)}"


def _log_words(found: ProcessRecord) -> str:
    return f"the end of {found.log}:\n{process.tail(found.log) or '(empty)'}"


def _is_running(settings: LocalSettings, part: Part) -> bool:
    found = process.load(_record_file(settings, part))
    return found is not None and process.is_alive(found)


def _records(settings: LocalSettings, table: PartTable) -> dict[str, ProcessRecord]:
    """Read the records of all parts that were started and not stopped."""
    found = {part.name: process.load(_record_file(settings, part)) for part in table.parts}
    return {name: record for name, record in found.items() if record}


def _ports(records: Mapping[str, ProcessRecord]) -> dict[str, int]:
    return {name: port for record in records.values() for name, port in record.ports.items()}


def _port_setting(settings: LocalSettings, name: str) -> int:
    values: Mapping[str, int] = settings.model_dump()
    return values[f"{name}_port"]


def _stop_file(settings: LocalSettings) -> Path:
    """Return the lock that `down` holds while it waits for an `up` to give up."""
    return settings.home_path / "stop.lock"


def _record_file(settings: LocalSettings, part: Part) -> Path:
    return settings.home_path / "run" / f"{part.name}.json"
