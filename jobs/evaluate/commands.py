"""The commands ``fraud evaluate``, ``fraud promote`` and ``fraud rollback``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraud.settings.options import ColumnOption, LabelGapOption, MlflowOption, ModelNameOption, ReadOption


def evaluate(  # noqa: PLR0917  (typer passes by name)
    model: Annotated[str | None, typer.Option(help="Version or alias; default champion.")] = None,
    transactions: Annotated[str | None, typer.Option(help="Labelled table, or a folder of tables.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Table of labels, if they are in a separate table.")
    ] = None,
    test_from: Annotated[str | None, typer.Option(help="Beginning; default: the model's as_of.")] = None,
    test_until: Annotated[str | None, typer.Option(help="End; default: the data's.")] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    label_gap_days: LabelGapOption = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Measure a registered model on a labelled table; FRAUD_EVALUATE_* or defaults for what is not given."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.learn.evaluation import evaluate as run  # noqa: PLC0415
    from fraud.learn.settings import EvaluateSettings  # noqa: PLC0415
    from fraud.learn.show import comparison_table  # noqa: PLC0415
    from fraud.settings.base import given, parse_time  # noqa: PLC0415
    from fraud.tables import parse_columns, parse_reading  # noqa: PLC0415

    console = Console()
    settings = EvaluateSettings(
        **given(
            model=model,
            transactions=transactions,
            labels=labels,
            test_from=None if test_from is None else parse_time(test_from),
            test_until=None if test_until is None else parse_time(test_until),
            columns=parse_columns(column),
            reading=parse_reading(read),
            out=out,
            label_gap_days=label_gap_days,
            mlflow_uri=mlflow_uri,
            model_name=model_name,
        )
    )
    done = run(settings, console.log)
    console.print(comparison_table(done.comparison))
    console.print(f"report: {done.report}")


def promote(
    version: Annotated[str, typer.Argument(help="Version or alias, e.g. 7 or challenger.")],
    *,
    force: Annotated[
        str, typer.Option(help="Reason to promote it although the gate did not accept it.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check that it could be promoted.")] = False,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Make a version the champion; the current champion becomes `previous`."""
    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.model.aliases import GATE, GATE_REASONS  # noqa: PLC0415

    with _registry(mlflow_uri, model_name) as versions:
        number = versions.resolve(version)
        tags = versions.tags(number)
        if tags.get(GATE) != "accepted" and not force:
            found = f"{tags[GATE]} it: {tags.get(GATE_REASONS, '')}" if GATE in tags else "has not judged it"
            raise BadInput(f'version {number}: the gate {found}; promote it all the same with --force "WHY"')
        if dry_run:
            versions.check_features(number)
            typer.echo(f"version {number} can be promoted")
            return
        moved = versions.promote(number, force or "by hand, accepted by the gate")
    typer.echo(f"champion is version {moved.champion}; previous: {moved.previous or 'none'}")


def rollback(
    *,
    why: Annotated[str, typer.Option(help="Reason; kept as a tag of the withdrawn version.")] = "by hand",
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Make the previous champion the champion again."""
    with _registry(mlflow_uri, model_name) as versions:
        moved = versions.rollback(why)
    typer.echo(f"champion is version {moved.champion}")


def _registry(mlflow_uri: str | None, model_name: str | None) -> Any:
    from contextlib import contextmanager  # noqa: PLC0415

    from fraud.learn.settings import EvaluateSettings  # noqa: PLC0415
    from fraud.model.registry import ModelVersions, open_registry  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415

    settings = EvaluateSettings(**given(mlflow_uri=mlflow_uri, model_name=model_name))

    @contextmanager
    def opened() -> Any:
        with open_registry(settings.mlflow_uri, "", settings.registry_uri):
            yield ModelVersions(settings.model_name)

    return opened()
