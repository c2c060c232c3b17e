"""Takes a changed schema into force on the platform that runs, while it continues deciding.

A second store is filled from the log while the old stream decides. Then the stream stops, the rest of the log
is folded, model server and stream start with the new schema, and the scoring service, which has gone on over
the old store, starts last. What it counted meanwhile is in the topic ``scored``; the new stream counts it.
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
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import read_schema

Tell = Callable[[str], None]
FILLING: Final = "store-filling"
"""Folder of the new store, beside the stream's; one that an interrupted change left is begun again."""
READ_SCHEMA: Final = ("stream", "predictor", "console")
"""Parts that begin again with the schema, beside the scoring service."""
_CAUGHT_UP: Final = 2
"""Lines that the filling says before the switch: it has looked at the log once, and once more."""


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
) -> Rolled:
    """Change the schema of a running platform.

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

    Raises
    ------
    BadInput
        When the tables do not fit the schema, or it needs a model and none is named.
    Unavailable
        When the platform does not run, or a step fails; then all is as it was before, and decides.
    """
    home = settings.home_path
    own = home / FILE
    old, new = read_schema(own if own.exists() else None), read_schema(file)
    effects = {change.effect for change in compare(old, new)}
    _check(settings, effects, model, file, table)
    settings, stream = platform.keeping_ports(settings, table), home / "stream"
    environment = {**os.environ, VARIABLE: str(file.absolute()), "FRAUD_STREAM_HOME": str(stream)}
    is_rebuilt = Effect.REBUILD in effects
    began = time.monotonic()
    loaded = home / f"schema-{new.version}.yaml"  # what the next processes read while the old ones run
    waiting = [part.name for part in table.parts if part.standby]
    with _undoing(tell) as undo:
        undo.callback(loaded.unlink, missing_ok=True)
        write_durably(loaded, file.read_bytes())
        undo.callback(shutil.rmtree, stream / FILLING, ignore_errors=True)
        with (
            _filling(environment, stream / FILLING, tell, is_needed=is_rebuilt) as finish,
            standing_by(settings, waiting, tell, table, {VARIABLE: str(loaded)}) as successors,
        ):
            switched = time.monotonic()
            undo.callback(platform.up, settings, table.names, tell, table)
            platform.stop(settings, ("stream",), tell, table)
            finish()
            if model:
                _promote(
                    settings, (model, f"for the schema of version {new.version}"), environment, undo, table
                )
            if is_rebuilt:
                _exchange(stream, stream / f"store-{old.version}", undo)
            undo.callback(_put_back, own, own.read_bytes() if own.exists() else None)
            write_durably(own, file.read_bytes())
            undo.callback(platform.stop, settings, READ_SCHEMA, tell, table)
            platform.stop(settings, READ_SCHEMA, tell, table)
            successors.take_over("stream")
            streaming = time.monotonic()
            undo.callback(platform.stop, settings, ("scoring",), tell, table)
            successors.take_over("scoring")
            scoring = time.monotonic()
        platform.up(settings, table.names, tell, table)
    return Rolled(switched - began, streaming - switched, scoring - streaming)


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
    undo: ExitStack,
    table: PartTable,
) -> None:
    """Make a version the champion, for a reason in words."""
    parts = platform.status(settings, table)
    registry = ["--mlflow-uri", str(next(part.url for part in parts if part.name == "mlflow"))]
    version, words = model
    _run(["promote", version, "--force", words, *registry], environment)
    undo.callback(_run, ["rollback", *registry], environment)


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


def _check(settings: LocalSettings, effects: set[Effect], model: str, file: Path, table: PartTable) -> None:
    if Effect.REFUSED in effects:
        raise BadInput(f"the tables do not fit {file}: `fraud schema diff` says why; use another home")
    if Effect.MODEL in effects and not model:
        raise BadInput(
            f"the vectors change: train a model first ({VARIABLE}={file} fraud train ...), then name its "
            "version with --model"
        )
    stopped = [
        part.name for part in platform.status(settings, table) if part.state is not platform.State.READY
    ]
    if stopped:
        raise Unavailable(f"not ready: {', '.join(stopped)}. Run `fraud up` first, or `fraud schema use`")


@contextmanager
def _filling(
    environment: dict[str, str], store: Path, tell: Tell, *, is_needed: bool
) -> Iterator[Callable[[], None]]:
    """Fill a store from the log beside the stream; inside the block it has caught up.

    Yields
    ------
    Callable
        Folds the rest, once the stream has stopped.
    """
    if not is_needed:
        yield lambda: None
        return
    shutil.rmtree(store, ignore_errors=True)
    with TemporaryDirectory() as folder:
        mark = Path(folder) / "stopped"
        command = ["replay", "rebuild-store", "--store", f"lmdb://{store}", "--follow-until", str(mark)]
        tell("filling the new store while the stream decides")
        with subprocess.Popen(
            _fraud(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                said = _read_until_caught_up(process)
                tell(said[-1])

                def finish() -> None:
                    mark.touch()
                    rest, _ = process.communicate()
                    if process.returncode:
                        raise Unavailable(f"the new store was not filled: {''.join([*said, rest])[-2_000:]}")
                    tell(rest.strip().splitlines()[-1])

                yield finish
            finally:
                if process.poll() is None:
                    process.terminate()


def _read_until_caught_up(process: "subprocess.Popen[str]") -> list[str]:
    said: list[str] = []
    if process.stdout is not None:
        for line in process.stdout:
            said.append(line.strip())
            if sum(one.startswith("folded") for one in said) == _CAUGHT_UP:
                return said
    raise Unavailable(f"the new store was not filled: {' '.join(said)[-2_000:]}")


def _fraud(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "fraud", *words]


def _run(words: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(_fraud(words), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"`fraud {' '.join(words)}` failed: {(done.stderr or done.stdout)[-2_000:]}")
