"""The commands ``fraud replay ...``; where the tables, the store and Kafka are, FRAUD_STREAM_* says."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import DeltaOption

replay = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Replay the log: resend dead letters, rebuild the feature store, fill new features.",
)

ScratchOption = Annotated[Path | None, typer.Option(help="Folder for the states while it runs.")]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Records held in memory at a time.")]


@replay.command("dead-letters")
def dead_letters(
    *,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only of this reason; may be repeated. Default: all that can be repaired."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Records received from this time on, e.g. 2026-03-01T00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Records received before this time.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the records; send none.")] = False,
    even_bad: Annotated[
        bool, typer.Option("--even-bad", help="Also send records that are still invalid.")
    ] = False,
    unconfirmed: Annotated[
        bool,
        typer.Option(
            "--unconfirmed", help="Also send records that an interrupted run may have sent already."
        ),
    ] = False,
    delta: DeltaOption = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka brokers, host:port,...")] = None,
) -> None:
    """Send dead letters to their topics again, after a fix; each at most once."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from rich.table import Table  # noqa: PLC0415

    from fraud.kafka.rates import rates_now  # noqa: PLC0415
    from fraud.money import NO_RATES  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema, rates_file  # noqa: PLC0415
    from fraud.settings.stream import GuardSettings, KafkaSettings, LakeSettings  # noqa: PLC0415
    from jobs.replay.dead_letters import Choice, resend  # noqa: PLC0415

    settings, brokers = LakeSettings(), KafkaSettings()
    address, options = bootstrap or brokers.kafka_bootstrap, brokers.kafka_options
    kafka, schema = {**options, "bootstrap.servers": address}, deployed_schema()
    money = schema.money
    choice = Choice(
        frozenset(reason or ()),
        _time(since),
        _time(until),
        even_bad=even_bad,
        unconfirmed=unconfirmed,
        most_ahead_s=GuardSettings().most_ahead_s,
    )
    account = resend(
        delta or settings.delta_path,
        kafka,
        choice,
        settings.delta_options,
        is_dry_run=dry_run,
        schema=schema,
        rates=rates_now(money.base, rates_file(), address, options) if money else NO_RATES,
    )
    words = "would be sent" if dry_run else "sent"
    columns = {
        words: account.sent,
        "sent before": account.already_sent,
        "still refused": account.still_bad,
        "unconfirmed": account.unconfirmed,
    }
    table = Table(title="dead letters", title_justify="left")
    table.add_column("reason")
    for name in columns:
        table.add_column(name, justify="right")
    for found in sorted({found for counts in columns.values() for found in counts}):
        table.add_row(found, *(f"{counts[found]:,}" for counts in columns.values()))
    table.add_row("all", *(f"{counts.total():,}" for counts in columns.values()), style="bold")
    console = Console(highlight=False)
    console.print(table)
    for found, why in sorted(account.why.items()):
        console.print(f"still refused, {found}: the first one, because {why}", markup=False, soft_wrap=True)


@replay.command("rebuild-store")
def rebuild_store(
    *,
    store: Annotated[str | None, typer.Option(help="Store to fill; default the stream's.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete the states that exist; stop the stream first.")
    ] = False,
    slice_rows: RowsOption = None,
    scratch: ScratchOption = None,
    follow_until: Annotated[
        Path | None,
        typer.Option(
            help="Fill --store while the stream runs; make this file once the stream has stopped, to finish."
        ),
    ] = None,
    without_future: Annotated[
        bool,
        typer.Option(
            "--without-future",
            help="Leave out of the states what is dated further ahead of its arrival than any bound allows.",
        ),
    ] = False,
    settle_until: Annotated[
        Path | None,
        typer.Option(
            help="Make this file once the scoring service has stopped too: what it counted since is added."
        ),
    ] = None,
) -> None:
    """Rebuild the feature store from the log, byte for byte; the stream continues from it."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.contracts import bounds_of  # noqa: PLC0415
    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.log.mirror import mirrored  # noqa: PLC0415
    from fraud.log.reader import SLICE_ROWS  # noqa: PLC0415
    from fraud.log.rebuild import follow, rebuild  # noqa: PLC0415
    from fraud.log.tail import read_tail  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.stream import GuardSettings, KafkaSettings, LogSettings  # noqa: PLC0415
    from fraud.store import open_store  # noqa: PLC0415

    console, settings, rows = Console(), LogSettings(), slice_rows or SLICE_ROWS
    if follow_until is not None and store in {None, "", settings.store}:
        raise BadInput("--follow-until fills another store than the stream's: name it with --store")
    if settle_until is not None and follow_until is None:
        raise BadInput("--settle-until needs --follow-until: the stream stops before the scoring service")
    if without_future and follow_until is not None:
        raise BadInput("--without-future needs a stream that is stopped: leave out --follow-until")
    bounds = bounds_of(deployed_schema(), GuardSettings().most_ahead_s)
    ahead_us = bounds.greatest_us if without_future else None
    with console.status("folding the log"), mirrored(settings) as (here, mirror):
        if follow_until is None:
            found = rebuild(
                here, store or "", replace=replace, rows=rows, scratch=scratch, most_ahead_us=ahead_us
            )
        else:
            kafka = KafkaSettings()
            primary = deployed_schema().primary.name  # the store in use may lack the schema's other entities
            with open_store(settings.store, (primary,)) as old:
                found = follow(
                    here,
                    store or "",
                    follow_until.exists,
                    old=old,
                    tail=partial(read_tail, kafka.kafka_bootstrap, kafka.kafka_options),
                    is_settled=settle_until.exists if settle_until else None,
                    rows=rows,
                    tell=console.print,
                    mirror=mirror,
                )
    counts = " and ".join(f"{count:,} {entity}s" for entity, count in found.states.items())
    console.print(
        f"Folded {found.transactions:,} transactions into {counts}; "
        f"the stream goes on with micro-batch {found.next_epoch} of generation {found.generation}."
    )
    if without_future:
        console.print(
            f"Left out {found.left_out:,} transactions dated in the future. What is served from now on: "
            "`fraud parity --without-future --since` this moment."
        )
    if found.next_epoch == 0 and found.generation > 1 and found.has_offsets:
        console.print("The stream's checkpoint is gone: a new one reads Kafka from where the log ends.")
    elif found.next_epoch == 0 and found.generation > 1:
        console.print(
            "The stream's checkpoint is gone: it would read Kafka from the earliest offset again. "
            "Transactions that the users' states still know become dead letters of reason duplicate."
        )


@replay.command("backfill-features")
def backfill_features(
    *, delta: DeltaOption = None, slice_rows: RowsOption = None, scratch: ScratchOption = None
) -> None:
    """Fill the columns of features that were added later; served values never change."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.log.reader import SLICE_ROWS  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.replay.columns import fill_columns  # noqa: PLC0415

    console = Console()
    settings = LakeSettings()
    with console.status("folding the log") as status:
        amended = fill_columns(
            delta or settings.delta_path,
            settings.delta_options,
            rows=slice_rows or SLICE_ROWS,
            scratch=scratch,
            on_progress=lambda vectors: status.update(f"{vectors:,} vectors filled"),
        )
    what = ", ".join(amended.columns) or "no feature has gaps"
    console.print(f"Filled {amended.vectors:,} vectors: {what}.")


def _time(text: str | None) -> datetime | None:
    from fraud.runtime.times import read_time  # noqa: PLC0415

    return None if text is None else read_time(text)
