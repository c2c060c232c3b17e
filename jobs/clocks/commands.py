"""The command ``fraud clocks``."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraud.settings.options import DeltaOption

if TYPE_CHECKING:
    from jobs.clocks.measure import Clock

_SHOWN = 20


def clocks(  # noqa: PLR0917  (typer passes by name)
    by: Annotated[
        str,
        typer.Argument(
            help="Field that names who dates the record, e.g. terminal; default: that of the schema's "
            "part `future`, else the merchant's."
        ),
    ] = "",
    delta: DeltaOption = None,
    days: Annotated[float, typer.Option(min=0.01, help="Days of records to examine, by arrival.")] = 7.0,
    least: Annotated[
        int, typer.Option(min=1, help="Records that a clock must have; one with fewer is left out.")
    ] = 20,
    most_s: Annotated[
        float, typer.Option(min=0.0, help="Offset from which a clock is wrong, seconds.")
    ] = 60.0,
    json_file: Annotated[Path | None, typer.Option(help="JSON file to write all clocks to.")] = None,
    is_strict: Annotated[
        bool, typer.Option("--strict/--no-strict", help="Exit code 3 if a clock is wrong.")
    ] = False,
) -> None:
    """Find senders whose clock is ahead or behind, by the append times of their records."""
    from fraud.contracts import bounds_of  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.stream import GuardSettings, LakeSettings  # noqa: PLC0415
    from jobs.clocks.measure import clocks_of, read_delays  # noqa: PLC0415

    lake, schema = LakeSettings(), deployed_schema()
    bounds = bounds_of(schema, GuardSettings().most_ahead_s)
    by = by or next(iter(bounds.columns), schema.keys[-1 if len(schema.keys) == 1 else 1][0].name)
    since = datetime.now(UTC) - timedelta(days=days)
    delays = read_delays(str(delta or lake.delta_path), by, since, lake.delta_options)
    is_bounded = by in bounds.columns
    found = clocks_of(delays, least=least, most_s=most_s, bounds=bounds if is_bounded else None)
    wrong = [one for one in found if one.is_wrong]
    _show(wrong or found, by)
    words = f"of {len(found):,} with {least} records or more in {days:g} days"
    typer.echo(f"{len(wrong):,} clocks {words} are off by more than {most_s:g} s")
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")
    if wrong and is_strict:
        raise typer.Exit(3)


def _show(found: "list[Clock]", by: str) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    is_bounded = any(one.most_ahead_s is not None for one in found)
    names = (by, "records", "refused", "offset, s", "delay 5 %", "median", "95 %")
    table = Table(*names, *(["most ahead, s"] if is_bounded else []), box=SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in found[:_SHOWN]:
        delays = (f"{value:,.1f}" for value in (one.offset_s, one.low_s, one.median_s, one.high_s))
        bound = [] if one.most_ahead_s is None else [f"{one.most_ahead_s:,g}"]
        table.add_row(one.name, f"{one.records:,}", f"{one.refused:,}", *delays, *bound)
    console = Console(highlight=False)
    console.print(table)
    if len(found) > _SHOWN:
        console.print(f"{len(found) - _SHOWN:,} more; --json-file FILE writes all")
