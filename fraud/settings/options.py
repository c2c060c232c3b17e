"""Options that several commands take, each with its words once."""

from typing import Annotated

import typer

ColumnOption = Annotated[
    list[str] | None, typer.Option(help="OURS=THEIRS where a column has another name; repeatable.")
]
ReadOption = Annotated[
    list[str] | None,
    typer.Option(help="How to read values, e.g. times=day-first, decimal=comma; repeatable."),
]
MlflowOption = Annotated[str | None, typer.Option(help="MLflow server, or sqlite:///<file>.")]
ModelNameOption = Annotated[str | None, typer.Option(help="Name in the registry.")]
DeltaOption = Annotated[str | None, typer.Option(help="Path or URI of the Delta tables.")]
LabelGapOption = Annotated[float | None, typer.Option(help="How long labels take to arrive, days.")]
