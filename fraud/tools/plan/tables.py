"""What ``fraud plan`` prints."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fraud.tools.plan.day import EntityDay
from fraud.tools.plan.figures import Figures
from fraud.tools.plan.sizing import Plan


def tables_of(made: Plan, days: Sequence[EntityDay]) -> Iterator[Table]:
    """Show the simulated day, the parts, and the ceilings."""
    names = ("entities", "events", "active", "median", "p99.9", "hottest", "state", "largest state")
    table = Table("a day", *names, box=SIMPLE_HEAD, title="simulated", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for day in days:
        counts = (day.entities, day.events, day.active, day.median, day.p999, day.hottest)
        sizes = (f"{day.state_bytes:,.0f} B", f"{day.largest_bytes:,} B")
        table.add_row(f"{day.name}s", *(f"{count:,.0f}" for count in counts), *sizes)
    yield table
    parts = Table(
        "part", "need", "computed", box=SIMPLE_HEAD, title=f"decided by the {made.path}", title_justify="left"
    )
    for line in made.lines:
        parts.add_row(line.part, line.need, line.why)
    yield parts
    ceilings = Table("ceiling", "used", "ends at", "then", box=SIMPLE_HEAD)
    for one in made.ceilings:
        ceilings.add_row(one.name, f"{one.share:.0%}", one.ends_at, one.remedy)
    yield ceilings


def words_of(made: Plan, figures: Figures) -> Iterator[str]:
    """Name the first ceiling, what costs most, and where the figures come from."""
    first = made.ceilings[0]
    verb = "is exceeded" if first.share > 1.0 else "comes first"
    yield f"First ceiling: {first.name} {verb} ({first.share:.0%} used); {first.remedy}."
    yield "Cost drivers: memory of the store (users, kept events), cores (rate, latency), disks (days kept)."
    yield f"Measured on {figures.machine}."
    yield f"Commands: {figures.stream.command}; {figures.scoring.command}; {figures.store.command}."
