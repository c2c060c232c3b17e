"""The command ``fraud rollout``, on a machine and in a container."""

from typing import Annotated

import typer

from fraud.settings.options import MlflowOption, ModelNameOption


def rollout(
    version: Annotated[str, typer.Argument(help="Version or alias, e.g. 7 or challenger.")],
    *,
    force: Annotated[str, typer.Option(help="Reason to try it although the gate did not accept it.")] = "",
    place: Annotated[
        str | None,
        typer.Option(help="local, kubernetes, or registry (only the alias moves); default auto."),
    ] = None,
    stage_s: Annotated[float | None, typer.Option(help="Shortest duration of a stage, seconds.")] = None,
    stage_rows: Annotated[int | None, typer.Option(help="Rows that the canary must score in each.")] = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Try a version on a share of the traffic, then promote or withdraw it.

    Exit code 0: it is champion; 3: refused, nothing was tried; 1: withdrawn, or failed.
    """
    from fraud.rollout.pipeline import EXIT, roll_out  # noqa: PLC0415
    from fraud.rollout.places import open_place  # noqa: PLC0415
    from fraud.rollout.settings import RolloutSettings  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415  (`--help` must not wait for libraries)

    settings = RolloutSettings(
        **given(
            place=place,
            stage_s=stage_s,
            stage_rows=stage_rows,
            mlflow_uri=mlflow_uri,
            model_name=model_name,
        )
    )
    outcome = roll_out(version, settings, open_place(settings), typer.echo, force=force)
    typer.echo(f"champion is version {outcome.champion or 'none'}")
    raise typer.Exit(EXIT[outcome.word])
