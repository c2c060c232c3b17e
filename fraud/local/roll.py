"""Changes the schema of the running platform, while it continues to decide.

A second store is filled from the log while the old stream decides. Then the stream stops, the rest of the log
is folded, and the model server starts with the new schema. The scoring service goes on over the old store
until then. It stops, what it has counted since is folded from the topic ``scored``, and the new service and
the new stream start over the new store. So at no time do two programs count in two stores.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fraud.errors import BadInput, FraudError, Unavailable
from fraud.local import platform
from fraud.local.parts import TABLE, PartTable
from fraud.local.settings import LocalSettings
from fraud.local.standby import standing_by
from fraud.runtime.files import write_durably
from fraud.schema.deployed import FILE, VARIABLE
from fraud.schema.diff import Change, Effect, compare
from fraud.schema.reading import read_schema

Tell = Callable[[str], None]
FILLING: Final = "store-filling"
"""Folder of the new store, beside the stream's; one that an interrupted change left is begun again."""
READ_SCHEMA: Final = ("stream", "predictor", "console")
"""Parts that begin again with the schema, beside the scoring service."""
BEFORE: Final = ("predictor",)
"""Of these, what begins again while the scoring service still runs over the old store."""
UNCHECKED: Final = {"FRAUD_STREAM_START_UNCHECKED": "true", "FRAUD_SCORING_START_UNCHECKED": "true"}
"""What the next processes are told: they load before the new store and the model are in place."""
STREAM_STOPPED: Final = "stream-stopped"
SCORING_STOPPED: Final = "scoring-stopped"
_CAUGHT_UP: Final = 2
"""Lines that the filling says before the switch: it has looked at the log once, and once more."""
_WHOLE: Final = "the whole log"
"""Ends the line that the filling says once the stream has stopped."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a change of the schema took, seconds."""

    filled_s: float
    """Beside the stream that still decided."""
    stream_paused_s: float
    scoring_paused_s: float


def roll(
    settings: LocalSettings,
    file: Path,
    model: str = "",
    tell: Tell = lambda _words: None,
    table: PartTable = TABLE,
) -> Rolled | None:
    """Change the schema of a running platform; without a difference and a model nothing is done.

    Parameters
    ----------
    settings
        Of the platform.
    file
        The new schema.
    model
        Version of a model of the new features; needed where the change asks for one.
    tell
        Takes words of progress.

    Returns
    -------
    Rolled or None
        None: there was nothing to do.

    Raises
    ------
    BadInput
        When the tables do not fit the schema, it needs a model and none is named, or the environment names a
        schema that the parts would read in its place.
    Unavailable
        When the platform does not run, or a step fails; then all is as it was before, and decides.
    """
    home = settings.home_path
    own = home / FILE
    old, new = read_schema(own if own.exists() else None), read_schema(file)
    _check_environment(own)
    changes = compare(old, new)
    if not changes and not model:
        return None
    effects = {change.effect for change in changes}
    _check(settings, changes, model, file, table)
    settings, stream = platform.keeping_ports(settings, table), home / "stream"
    environment = {
        **os.environ,
        VARIABLE: str(file.absolute()),
        "FRAUD_STREAM_HOME": str(stream),
        "FRAUD_STREAM_KAFKA_BOOTSTRAP": str(_url_of(settings, "broker", table)),
    }
    reason = f"for the schema of version {new.version}"
    if model:  # before anything starts or stops
        _promote(settings, (model, reason), environment, table, is_dry=True)
    is_rebuilt = Effect.REBUILD in effects
    began = time.monotonic()
    loaded = home / f"schema-{new.version}.yaml"  # what the next processes read while the old ones run
    loading = {VARIABLE: str(loaded), **UNCHECKED}
    waiting = [part.name for part in table.parts if part.standby]
    with _undoing(tell) as undo:
        undo.callback(loaded.unlink, missing_ok=True)
        write_durably(loaded, file.read_bytes())
        undo.callback(shutil.rmtree, stream / FILLING, ignore_errors=True)
        with (
            _filling(environment, stream / FILLING, tell, is_needed=is_rebuilt) as filling,
            standing_by(settings, waiting, tell, table, loading) as successors,
        ):
            switched = time.monotonic()
            undo.callback(platform.up, settings, table.names, tell, table)
            platform.stop(settings, ("stream",), tell, table)
            filling.fold_whole_log()
            if model:
                _promote(settings, (model, reason), environment, table)
                undo.callback(_run, ["rollback", *_registry(settings, table)], environment)
            undo.callback(_put_back, own, own.read_bytes() if own.exists() else None)
            write_durably(own, file.read_bytes())
            undo.callback(platform.stop, settings, READ_SCHEMA, tell, table)
            platform.stop(settings, READ_SCHEMA, tell, table)
            platform.up(settings, [name for name in BEFORE if name in table.names], tell, table)
            stopped = time.monotonic()
            platform.stop(settings, ("scoring",), tell, table)
            filling.finish()
            if is_rebuilt:
                _exchange(stream, stream / f"store-{old.version}", undo)
            undo.callback(platform.stop, settings, (*READ_SCHEMA, "scoring"), tell, table)
            successors.hand_over("scoring")
            scoring = time.monotonic()
            successors.hand_over("stream")
        platform.up(settings, table.names, tell, table)
    streaming = time.monotonic()
    return Rolled(switched - began, streaming - switched, scoring - stopped)


@contextmanager
def _undoing(tell: Tell) -> Iterator[ExitStack]:
    """Undo what has been done, the last first, where the block fails; what cannot be undone is told."""
    undo = ExitStack()
    try:
        yield undo
    except BaseException:
        tell("the change failed: all is put back as it was")
        try:
            undo.close()
        except (FraudError, OSError) as error:
            tell(f"not all could be put back: {error}; run `fraud up`")
        raise
    undo.pop_all()


def _promote(
    settings: LocalSettings,
    model: tuple[str, str],
    environment: dict[str, str],
    table: PartTable,
    *,
    is_dry: bool = False,
) -> None:
    """Make a version the champion, for a reason in words; or only check that it could become it."""
    version, words = model
    dry = ["--dry-run"] if is_dry else []
    _run(["promote", version, "--force", words, *dry, *_registry(settings, table)], environment)


def _registry(settings: LocalSettings, table: PartTable) -> list[str]:
    return ["--mlflow-uri", _url_of(settings, "mlflow", table)]


def _exchange(stream: Path, former: Path, undo: ExitStack) -> None:
    """Put the filled store in the old one's place; the scoring service still has the old one open."""
    store, filled = stream / "store", stream / FILLING
    shutil.rmtree(former, ignore_errors=True)  # of a change before
    store.rename(former)
    undo.callback(former.rename, store)
    filled.rename(store)
    undo.callback(store.rename, filled)


def _put_back(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        write_durably(file, content)


def _check_environment(own: Path) -> None:
    """Refuse to roll where the next processes would read another file than the home's."""
    named = os.environ.get(VARIABLE)
    if named and Path(named).expanduser().absolute() != own.absolute():
        raise BadInput(
            f"{VARIABLE} names {named}, which the parts read in the place of {own}; this command changes the "
            f"latter. Unset {VARIABLE} if they were started without it; else `fraud down`, `fraud schema use "
            f"{named}`, unset {VARIABLE}, `fraud up`"
        )


def _check(
    settings: LocalSettings, changes: Sequence[Change], model: str, file: Path, table: PartTable
) -> None:
    refused = [f"{change.what}: {change.words}" for change in changes if change.effect is Effect.REFUSED]
    if refused:
        raise BadInput(
            f"the tables do not fit {file}: {'; '.join(refused)}. Another deployment on this machine has "
            "another home (--home)"
        )
    if any(change.effect is Effect.MODEL for change in changes) and not model:
        raise BadInput(
            f"the vectors change: train a model first ({VARIABLE}={file} fraud train ...), then name its "
            "version with --model"
        )
    stopped = [
        part.name for part in platform.status(settings, table) if part.state is not platform.State.READY
    ]
    if stopped:
        raise Unavailable(f"not ready: {', '.join(stopped)}. Run `fraud up` first, or `fraud schema use`")


class _Filling:
    """A process that fills a store from the log beside the stream.

    Parameters
    ----------
    process
        Says a line each time that it has folded the log as far as it goes.
    folder
        Where the process looks for files that say what has stopped.
    tell
        Takes words of progress.
    """

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, tell: Tell) -> None:
        self._process, self._folder, self._tell = process, folder, tell
        self._said: list[str] = []

    def catch_up(self) -> None:
        """Wait until it has folded the log as it grew meanwhile."""
        for _ in range(_CAUGHT_UP):
            self._read_until("folded")
        self._tell(self._said[-1])

    def fold_whole_log(self) -> None:
        """Fold the rest of the log; the stream has stopped."""
        (self._folder / STREAM_STOPPED).touch()
        self._read_until(_WHOLE)

    def finish(self) -> None:
        """Fold what the scoring service, which has stopped, has counted since."""
        (self._folder / SCORING_STOPPED).touch()
        rest, _ = self._process.communicate()
        self._said += rest.strip().splitlines()
        if self._process.returncode:
            raise self._failed()
        self._tell(self._said[-1])

    def _read_until(self, word: str) -> None:
        for line in self._process.stdout or ():
            self._said.append(line.strip())
            if word in self._said[-1]:
                return
        raise self._failed()

    def _failed(self) -> Unavailable:
        return Unavailable(f"the new store was not filled: {' '.join(self._said)[-2_000:]}")


class _NothingToFill:
    """Of a change that leaves the states as they are."""

    def fold_whole_log(self) -> None:
        """There is no new store."""

    def finish(self) -> None:
        """There is no new store."""


@contextmanager
def _filling(
    environment: dict[str, str], store: Path, tell: Tell, *, is_needed: bool
) -> Iterator[_Filling | _NothingToFill]:
    """Fill a store from the log beside the stream; inside the block it has caught up."""
    if not is_needed:
        yield _NothingToFill()
        return
    shutil.rmtree(store, ignore_errors=True)
    with TemporaryDirectory() as folder:
        files = {"--follow-until": STREAM_STOPPED, "--settle-until": SCORING_STOPPED}
        marks = [word for option, file in files.items() for word in (option, f"{folder}/{file}")]
        command = ["replay", "rebuild-store", "--store", f"lmdb://{store}", *marks]
        tell("filling the new store while the stream decides")
        with subprocess.Popen(
            _fraud(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                filling = _Filling(process, Path(folder), tell)
                filling.catch_up()
                yield filling
            finally:
                if process.poll() is None:
                    process.terminate()


def _url_of(settings: LocalSettings, part: str, table: PartTable) -> str:
    return next(str(one.url) for one in platform.status(settings, table) if one.name == part)


def _fraud(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "fraud", *words]


def _run(words: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(_fraud(words), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"`fraud {' '.join(words)}` failed: {(done.stderr or done.stdout)[-2_000:]}")
