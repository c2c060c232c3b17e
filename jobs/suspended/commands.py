"""The command ``fraud suspended``: for the Jobs of the chart ``streaming`` (``recovery.command``)."""

import subprocess
import sys
from typing import Annotated

import typer


def suspended(
    application: Annotated[str, typer.Argument(help="Name of the SparkApplication.")],
    command: Annotated[
        list[str],
        typer.Argument(help="The `fraud` command to run, after `--`, e.g. `replay rebuild-store --replace`."),
    ],
    namespace: Annotated[
        str,
        typer.Option(help="Namespace of the application; default: that of the pod that runs this command."),
    ] = "",
) -> None:
    """Run a command while the stream of a cluster is suspended, then resume it."""
    from fraud.runtime.telemetry import configure_logging  # noqa: PLC0415  (`--help` must not wait)
    from jobs.suspended.application import Application  # noqa: PLC0415

    configure_logging()
    with Application(application, namespace).suspended(" ".join(command)):
        done = subprocess.run([sys.executable, "-m", "fraud", *command], check=False)
    raise typer.Exit(done.returncode)
