"""Takes a changed schema into force on the platform that runs, while it goes on deciding.

A second store is filled from the log while the old stream decides. Then the stream stops, the rest of the log
is folded, model server and stream start with the new schema, and the scoring service, which has gone on over
the old store, starts last. What it counted meanwhile lies in the topic ``scored``; the new stream counts it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fraud.errors import BadInput, Unavailable
from fraud.local import platform
from fraud.local.parts import TABLE, PartTable
from fraud.local.settings import LocalSettings
from fraud.schema.deployed import FILE, VARIABLE
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import read_schema

Tell = Callable[[str], None]
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
        When the tables cannot go on with the schema, or it needs a model and none is named.
    Unavailable
        When the platform does not run, or a step fails; the words say how to go on.
    """
    home = settings.home_path
    own = home / FILE
    old, new = read_schema(own if own.exists() else None), read_schema(file)
    effects = {change.effect for change in compare(old, new)}
    _check(settings, effects, model, file, table)
    settings, stream = platform.keeping_ports(settings, table), home / "stream"
    store, filled = stream / "store", stream / f"store-{new.version}"
    environment = {**os.environ, VARIABLE: str(file.absolute()), "FRAUD_STREAM_HOME": str(stream)}
    is_rebuilt = Effect.REBUILD in effects
    began = time.monotonic()
    with _filling(environment, filled, tell, is_needed=is_rebuilt) as finish:
        switched = time.monotonic()
        platform.stop(settings, ("stream",), tell, table)
        finish()
    if model:
        words = f"for the schema of version {new.version}"
        mlflow = next(part.url for part in platform.status(settings, table) if part.name == "mlflow")
        _run(["promote", model, "--force", words, "--mlflow-uri", str(mlflow)], environment)
    if is_rebuilt:
        store.rename(stream / f"store-{old.version}")  # the scoring service still has it open
        filled.rename(store)
    own.write_bytes(file.read_bytes())
    platform.stop(settings, ("predictor", "console"), tell, table)
    platform.up(settings, ("stream",), tell, table)
    streaming = time.monotonic()
    platform.stop(settings, ("scoring",), tell, table)
    platform.up(settings, table.names, tell, table)
    return Rolled(switched - began, streaming - switched, time.monotonic() - streaming)


def _check(settings: LocalSettings, effects: set[Effect], model: str, file: Path, table: PartTable) -> None:
    if Effect.REFUSED in effects:
        raise BadInput(f"the tables cannot go on with {file}: `fraud schema diff` says why; use another home")
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
