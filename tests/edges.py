"""Which room imports which: ``uv run python -m tests.edges`` prints every edge with its number of imports.

A room is a package of ``fraud/`` or a program's folder in ``jobs/`` and ``services/``. Imports inside
functions count too; ``tests/test_layout.py`` asserts the rules over these edges.
"""

import ast
import gc
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
OURS = ("fraud", "jobs", "services")


class Import(NamedTuple):
    """One module imports another."""

    module: str
    imported: str


@cache
def modules() -> dict[str, Path]:
    """Name every module of ours, with its file."""
    found = {}
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def parsed(path: Path) -> ast.Module:
    """Parse a file, without garbage collection meanwhile.

    A finalizer lets other threads run; if one of them parses, too, Python 3.11 counts both in one depth
    of recursion and fails.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """List what a file imports: ``a.b.c`` for ``from a.b import c`` as well as ``a.b``."""
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def room_of(module: str) -> str:
    """Name the room of a module.

    Examples
    --------
    >>> room_of("fraud.log.archive"), room_of("fraud.tools.bench.stream"), room_of("jobs.stream.main")
    ('fraud.log', 'fraud.tools', 'jobs.stream')
    """
    return ".".join(module.split(".")[:2])


@cache
def our_imports() -> list[Import]:
    """List every import of one module of ours by another."""
    known = modules()
    found = []
    for module, path in known.items():
        for name in imports_of(path):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != module:
                found.append(Import(module, target))
    return found


@cache
def edges() -> dict[tuple[str, str], list[Import]]:
    """Group the imports that cross rooms by (room, imported room)."""
    found: dict[tuple[str, str], list[Import]] = defaultdict(list)
    for one in our_imports():
        if room_of(one.module) != room_of(one.imported):
            found[room_of(one.module), room_of(one.imported)].append(one)
    return dict(sorted(found.items()))


if __name__ == "__main__":
    crossing = edges()
    for (room, imported), found in crossing.items():
        sys.stdout.write(f"{room:24} -> {imported:24} {len(found):3}\n")
    sys.stdout.write(f"{len(crossing)} edges, {sum(map(len, crossing.values()))} imports\n")
