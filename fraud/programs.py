"""What an image can run: ``python -m fraud.programs NAME [ARGUMENT...]``, the entry point of our images.

A name of ``PROGRAMS`` starts that module; anything else is a command, e.g. ``python -m fraud retrain``. Reads
``/opt/numba``, the compiled fold that the image's build has left, and copies it to ``NUMBA_CACHE_DIR``: numba
writes beside what it reads, and the root file system is read-only.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROGRAMS: Final = {
    "scoring": "services.scoring.main",
    "predictor": "services.predictor.main",
    "console": "services.console.main",
    "simulator": "services.simulator.main",
    "stream": "jobs.stream.main",
    "backfill": "jobs.backfill.main",
    "train": "jobs.train.main",
    "evaluate": "jobs.evaluate.main",
    "compact": "jobs.compact.main",
    "smoke": "fraud.tools.smoke.main",
}
"""Name: module. The charts, the DAGs and the embedded platform start programs by these names."""
SPARK: Final = {"driver", "executor"}
"""How Spark on Kubernetes starts an image."""
_SPARK_ENTRY: Final = "/app/jobs/stream/entrypoint.sh"
_COMPILED: Final = Path("/opt/numba")


def command_of(arguments: Sequence[str]) -> list[str]:
    """Return the command that a container's arguments mean."""
    if not arguments:
        raise SystemExit(f"error: give the name of a program: {', '.join(PROGRAMS)}; or a command")
    name, *others = arguments
    if name in PROGRAMS:
        return [sys.executable, "-m", PROGRAMS[name], *others]
    if name in SPARK:
        return ["sh", _SPARK_ENTRY, name, *others]
    return [name, *others]


def main() -> None:
    """Become the program that the arguments name."""
    command = command_of(sys.argv[1:])
    cache = os.environ.get("NUMBA_CACHE_DIR")
    if cache and _COMPILED.is_dir():
        shutil.copytree(_COMPILED, cache, dirs_exist_ok=True)
    os.execvp(command[0], command)  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    main()
