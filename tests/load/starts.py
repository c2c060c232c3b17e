"""What each part of the embedded platform takes to start, and what it holds then.

    uv run python -m tests.load.starts

Starts the parts one after another in a home of their own, with a small model, stops all, and starts them
again: the second start is told, for which caches are warm. By part: seconds by the clock until it is ready,
seconds of processor time until then with all its processes, those of its imports alone (in a process that
does nothing else), and the memory that its processes hold when all parts are ready and nothing is sent,
where pages that several share count in parts (PSS). What the clock has beyond the processor time is waiting.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.table import Table

from fraud.local import platform
from fraud.local.cache import cache_folder
from fraud.local.platform import PART_NAMES
from fraud.local.settings import LocalSettings
from fraud.programs import PROGRAMS
from fraud.tools.bench.cost import MILLION, Meter, name_of
from fraud.tools.bench.machine import Machine, describe_machine
from tests.load.storm import settings_in
from tests.services.predictor.conftest import Registry, make_model

MODULES = {**PROGRAMS, "mlflow": "mlflow.server"}
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Start:
    """Of one part."""

    part: str
    ready_s: float
    """By the clock."""
    processor_s: float
    imports_s: float | None
    """Of processor time; None: the part is no Python program."""
    memory_mib: float


def start_all(settings: LocalSettings) -> Iterator[tuple[str, float, float]]:
    """Start one part after another; gives its name, seconds by the clock, and of processor time."""
    for name in PART_NAMES:
        meter, began = Meter(lambda: platform.status(settings)), time.perf_counter()
        platform.up(settings, [name])
        ready_s = time.perf_counter() - began
        costs = {cost.part: cost.cpu_s for cost in meter.costs(MILLION)}
        yield name, ready_s, sum(cpu_s for part, cpu_s in costs.items() if part.partition(":")[0] == name)


def memory_of(settings: LocalSettings) -> dict[str, float]:
    """Tell what each part holds, MiB; the stream's kinds of processes have lines of their own."""
    found: dict[str, float] = {}
    for part in platform.status(settings):
        if part.pid is None:
            continue
        first = psutil.Process(part.pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held = process.memory_full_info()
                name = name_of(part.name, process)
                found[name] = found.get(name, 0.0) + getattr(held, "pss", held.uss) / MIB
    return found


def imports_s(module: str) -> float:
    """Import a module in a process of its own; seconds of processor time, the least of three."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):  # as the parts do it
        environment["PYTHONPYCACHEPREFIX"] = str(cache_folder() / "bytecode")
    spent = []
    for _ in range(3):
        before = _of_children()
        subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True)
        spent.append(_of_children() - before)
    return min(spent)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(home: Path) -> list[Start]:
    """Start twice, tell the second start."""
    heap_mb = LocalSettings.model_fields["kafka_heap_mb"].default
    settings = settings_in(home).model_copy(update={"kafka_heap_mb": heap_mb})
    try:
        platform.up(settings, ["broker", "mlflow"])
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        Registry(urls["mlflow"]).register(make_model(3))
        platform.up(settings)
        platform.down(settings)
        started = {name: (ready_s, cpu_s) for name, ready_s, cpu_s in start_all(settings)}
        memory = memory_of(settings)
    finally:
        platform.down(settings)
    found = []
    for part, (ready_s, cpu_s) in started.items():
        own = imports_s(MODULES[part]) if part in MODULES else None
        kinds = {name: held for name, held in memory.items() if name.partition(":")[0] == part}
        found.append(Start(part, ready_s, cpu_s, own, sum(kinds.values())))
    found += [Start(name, 0.0, 0.0, None, held) for name, held in memory.items() if ":" in name]
    return found


def table_of(machine: Machine, starts: list[Start]) -> Table:
    """Lay the figures out for a terminal."""
    heads = ("ready after, s", "processor time, s", "of it imports", "memory, MiB")
    table = Table("part", title=f"Start of each part, warm caches\n{machine.words}", title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    parts = [one for one in starts if ":" not in one.part]
    for one in parts:
        own = "" if one.imports_s is None else f"{one.imports_s:.1f}"
        table.add_row(one.part, f"{one.ready_s:.1f}", f"{one.processor_s:.1f}", own, f"{one.memory_mib:,.0f}")
    ready, spent, held = (
        sum(getattr(one, name) for one in parts) for name in ("ready_s", "processor_s", "memory_mib")
    )
    table.add_row("all", f"{ready:.1f}", f"{spent:.1f}", "", f"{held:,.0f}", end_section=True)
    for one in starts:
        if ":" in one.part:
            table.add_row(one.part, "", "", "", f"{one.memory_mib:,.0f}")
    return table


def main() -> None:
    """Measure, print, write ``starts.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench"))
    given = parser.parse_args()
    machine = describe_machine()
    with TemporaryDirectory(prefix="starts-") as folder:
        starts = measure(Path(folder) / "home")
    Console(width=110).print(table_of(machine, starts))
    given.out.mkdir(parents=True, exist_ok=True)
    whole = {"machine": asdict(machine), "starts": [asdict(one) for one in starts]}
    (given.out / "starts.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
