"""Replaces running parts by new processes that have loaded already, so a part pauses for seconds only.

A successor starts beside the part, loads, and says so (``fraud.runtime.standby``); only then the part is
stopped. One that does not get so far is ended, and the part runs on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fraud.errors import BadConfig, Unavailable
from fraud.local import platform, process
from fraud.local.jars import Tell
from fraud.local.parts import TABLE, Part, PartTable, Place
from fraud.local.settings import LocalSettings
from fraud.runtime.standby import ready_file
from fraud.runtime.waiting import wait_until

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class StandbyProcesses:
    """Starts a second process of a part; it loads, and takes over when the first has ended.

    Parameters
    ----------
    settings, tell, table
        As of ``fraud.local.platform``.
    """

    def __init__(self, settings: LocalSettings, tell: Tell, table: PartTable) -> None:
        self._settings, self._tell, self._table = settings, tell, table
        self._run = settings.home_path / "run"

    def start(self, part: Part, environment: Mapping[str, str]) -> None:
        """Start the successor of a part that runs."""
        found = process.load(self._run / f"{part.name}.json")
        if found is None or not process.is_alive(found):
            raise Unavailable(f"{part.name} does not run: `fraud up` starts it")
        place = Place(platform.keeping_ports(self._settings, self._table), dict(found.ports) | self._ports())
        turn = self._turn(part)
        for file in (turn, ready_file(turn)):
            file.unlink(missing_ok=True)
        process.start(
            part.command(place),
            folder=place.folder(part.name),
            environment={**part.environment(place), **environment, part.standby: str(turn)},
            log=self._log(part).with_suffix(".next.log"),  # that of the running process stays its own
            record=self._record(part),
            ports=found.ports,
        )
        self._tell(f"loading the next {part.name}")

    def wait(self, part: Part) -> None:
        """Wait until a successor has loaded."""
        found = process.load(self._record(part))
        assert found is not None  # noqa: S101  start() wrote it
        timeout_s = self._settings.ready_timeout_s
        is_ready = ready_file(self._turn(part)).exists
        wait_until(lambda: is_ready() or not process.is_alive(found), timeout_s)
        if not is_ready():
            raise Unavailable(
                f"the next {part.name} did not load; the old one runs on. The end of {found.log}:\n"
                f"{process.tail(found.log)}"
            )

    def take_over(self, name: str) -> None:
        """Stop a part, and let its successor go on, or else a new process; returns when that is ready."""
        for part in (one for one in self._table.parts if one.name == name):
            platform.up(self._settings, part.needs, self._tell, self._table)
            platform.stop(self._settings, (name,), self._tell, self._table)
            self.hand_over(name)
            platform.up(self._settings, (name,), self._tell, self._table)

    def hand_over(self, name: str) -> None:
        """Let a stopped part's successor go on; returns when it is ready, or has ended."""
        for part in (one for one in self._table.parts if one.name == name and self._record(one).exists()):
            record = self._run / f"{name}.json"
            process.take_place(self._record(part), record, self._log(part))
            self._turn(part).touch()
            found = process.load(record)
            assert found is not None  # noqa: S101  start() wrote it
            place = Place(self._settings, self._ports())
            wait_until(
                lambda: part.is_ready(place) or not process.is_alive(found),  # noqa: B023  called here
                self._settings.ready_timeout_s,
            )

    def _ports(self) -> dict[str, int]:
        parts = (process.load(self._run / f"{name}.json") for name in self._table.names)
        return {name: port for found in parts if found for name, port in found.ports.items()}

    def _log(self, part: Part) -> Path:
        return self._settings.home_path / "logs" / f"{part.name}.log"

    def _record(self, part: Part) -> Path:
        return platform.successor_record(self._settings, part)

    def _turn(self, part: Part) -> Path:
        return self._run / f"{part.name}.turn"


@contextmanager
def standing_by(
    settings: LocalSettings,
    names: Sequence[str],
    tell: Tell = lambda _words: None,
    table: PartTable = TABLE,
    environment: Mapping[str, str] = _NOTHING,
) -> Iterator[StandbyProcesses]:
    """Load successors of running parts; inside the block each may take over."""
    successors = StandbyProcesses(settings, tell, table)
    parts = [part for part in table.parts if part.name in names]
    try:
        for part in parts:
            successors.start(part, environment)
        for part in parts:
            successors.wait(part)
        yield successors
    finally:
        for part in parts:
            platform.end_successor(settings, part)


def replace(
    settings: LocalSettings,
    names: Sequence[str],
    tell: Tell = lambda _words: None,
    table: PartTable = TABLE,
) -> None:
    """Replace running parts, one after another.

    Raises
    ------
    BadConfig
        When there is no such part, or it cannot be replaced while it runs.
    Unavailable
        When a successor does not load (the part runs on), or is not ready in time.
    """
    table.with_needs(names)  # refuses a name that no part has
    parts = [part for part in table.parts if part.name in names]
    unknown = set(names) - {part.name for part in parts if part.standby}
    if unknown:
        can = ", ".join(part.name for part in table.parts if part.standby)
        raise BadConfig(f"{', '.join(sorted(unknown))} cannot be replaced while it runs; these can: {can}")
    with standing_by(settings, names, tell, table) as successors:
        for part in parts:
            successors.take_over(part.name)
