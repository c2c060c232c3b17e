"""Commands of the documentation: blocks of shell, each with a mark above it that says what becomes of it.

``<!-- run -->``: ``tests/test_examples.py`` runs them in an empty folder. ``<!-- run on the demo -->``:
the test of the demo runs them on its data. ``<!-- example -->``: no test runs them, as they need a cluster, a
file of yours or minutes. Other marks name blocks that CI, a workflow or another test takes by ``.ci/readme``.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
RUN: Final = "run"
ON_THE_DEMO: Final = "run on the demo"
EXAMPLE: Final = "example"
NAMED: Final = frozenset({"demo", "test", "compose", "kind"})
_BLOCK: Final = re.compile(r"(?:^<!-- ([a-z ]+) -->\n)?^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """List the blocks of shell on a page: mark ("" without one) and commands."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def marked(page: Path, mark: str) -> str:
    """Join the commands of a page that have a mark."""
    return "".join(commands for found, commands in blocks(page) if found == mark)


def run(commands: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Run commands in a folder that has the repository's files, with this Python in place of ``uv run``."""
    for name in ("docs", "fraud", "services"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    shell = f'uv() {{ shift 2; "{sys.executable}" -m fraud "$@"; }}\nset -euxo pipefail\n{commands}'
    done = subprocess.run(
        ["bash", "-c", shell], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
