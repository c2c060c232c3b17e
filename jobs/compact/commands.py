"""The command ``fraud compact``."""

from typing import Annotated

import typer


def compact(
    *,
    delta: Annotated[str, typer.Option(help="Path or URI of the Delta tables.")] = "",
    target_mb: Annotated[int | None, typer.Option(help="Size that files grow to, megabytes.")] = None,
    retention_hours: Annotated[int | None, typer.Option(help="How long replaced files stay.")] = None,
) -> None:
    """Compact the Delta tables while the stream runs, and remove old files (FRAUD_COMPACT_*)."""
    from fraud.settings.base import given  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from jobs.compact.run import run  # noqa: PLC0415
    from jobs.compact.settings import CompactSettings  # noqa: PLC0415

    settings = CompactSettings(**given(target_mb=target_mb, retention_hours=retention_hours))
    for done in run(settings, delta):
        typer.echo(f"{done.table}: {done.added} files for {done.replaced}, {done.removed} old ones removed")
