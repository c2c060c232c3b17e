"""The commands ``fraud backup create|list|verify|restore``; places by FRAUD_BACKUP_* and FRAUD_STREAM_*."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Back up and restore the feature store, MLflow, rules, rates and checkpoint.",
)

PlaceOption = Annotated[str, typer.Option(help="Folder or URI of the backups; default FRAUD_BACKUP_PLACE.")]
PartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--part", help="store, mlflow, decisive (rules, lists, rates, schema) or checkpoint; may be repeated."
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Name of the backup; default: the newest.")]


@app.command("create")
def create(*, part: PartOption = None, place: PlaceOption = "") -> None:
    """Take a backup while everything runs, and delete those beyond FRAUD_BACKUP_KEEP."""
    began = time.monotonic()
    with _opened_with_stream(place) as backups:
        name = backups.create(part or ())
    size = backups.finished()[name].total_bytes
    typer.echo(f"{name}: {size / 1e6:,.1f} MB in {time.monotonic() - began:.1f} s")


@app.command("list")
def list_(*, place: PlaceOption = "") -> None:
    """List finished backups, the oldest first."""
    for name, manifest in _open(place).finished().items():
        parts = ", ".join(manifest.parts)
        typer.echo(
            f"{name}  {manifest.total_bytes / 1e6:,.1f} MB  micro-batch {manifest.micro_batch}  {parts}"
        )


@app.command("verify")
def verify(name: NameArgument = "", *, place: PlaceOption = "") -> None:
    """Read every file of a backup; exit with 1 where one is missing or has changed."""
    manifest = _open(place).verify(name)
    typer.echo(f"{len(manifest.files):,} files, {manifest.total_bytes / 1e6:,.1f} MB: all as written")


@app.command("restore")
def restore(name: NameArgument = "", *, part: PartOption = None, place: PlaceOption = "") -> None:
    """Restore parts of a backup; the stream's next start adds what came after it."""
    began = time.monotonic()
    with _opened_with_stream(place) as backups:
        manifest = backups.restore(name, part or ())
    typer.echo(
        f"restored as of {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC in {time.monotonic() - began:.1f} s. "
        "The stream's next start folds onto the store what the log has got since. Restart MLflow, and the "
        "scoring service where the store is LMDB."
    )


@contextmanager
def _opened_with_stream(place: str) -> Iterator[Any]:
    """Open backups with the driver's files here, and put back what a restore writes of them."""
    from fraud.log.mirror import mirrored  # noqa: PLC0415
    from fraud.settings.stream import LogSettings  # noqa: PLC0415

    with mirrored(LogSettings()) as (stream, mirror):
        yield _open(place, stream)
        if mirror is not None:
            mirror.push()


def _open(place: str, stream: Any = None) -> Any:
    from fraud.settings.base import given  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from fraud.settings.stream import LogSettings  # noqa: PLC0415
    from jobs.backup.run import Backups  # noqa: PLC0415
    from jobs.backup.settings import BackupSettings  # noqa: PLC0415

    settings = LogSettings()
    platform = settings.home.absolute().parent  # also where `stream` is a copy from an object store
    return Backups(BackupSettings(**given(place=place or None)), stream or settings, typer.echo, platform)
