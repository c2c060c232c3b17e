"""The family ``fraud rules``."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "backtest", "check"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
RulesFile = Annotated[Path, typer.Argument(help="YAML, see fraud/decide/rules.py.")]


@app.callback()
def _family() -> None:
    """Check rules, and try them on history, before the scoring service has them."""


@app.command()
def check(file: RulesFile) -> None:
    """Check a rules file; an error names the line and the reason."""
    from fraud.decide.rules import read_rules  # noqa: PLC0415

    rules = read_rules(file)
    typer.echo(f"{len(rules.rules)} rules, version {rules.version}")


@app.command()
def backtest(
    file: RulesFile,
    delta: Annotated[str, typer.Option(help="The Delta tables; default: where the stream writes.")] = "",
    review_cost: Annotated[float, typer.Option(help="Cost of a review by an analyst.")] = 5.0,
    wrong_decline_cost: Annotated[
        float, typer.Option(help="Cost of declining an honest transaction.")
    ] = 20.0,
) -> None:
    """Try rules on past transactions: hits, precision by the known labels, and cost of each rule."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from fraud.decide.rules import read_rules  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.backtest import Costs, backtest  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with console.status("reading the log"):
        found = backtest(
            read_rules(file),
            delta or stream.delta_path,
            stream.delta_options,
            costs=Costs(review_cost, wrong_decline_cost),
        )
    title = f"rules {found.version}: {found.transactions:,} transactions, {found.labelled:,} with a label"
    table = Table(title=title, title_justify="left")
    for column in ("rule", "then", "hits", "rate", "changed", "precision", "fraud", "honest", "cost"):
        table.add_column(column, justify="left" if column in {"rule", "then"} else "right")
    for one in found.rules:
        table.add_row(
            one.rule,
            str(one.outcome),
            f"{one.hits:,}",
            f"{one.hits / max(1, found.transactions):.2%}",
            f"{one.changed:,}",
            "" if one.precision is None else f"{one.precision:.1%}",
            f"{one.fraud_amount:,.0f}",
            f"{one.honest_amount:,.0f}",
            f"{one.cost:+,.0f}",
        )
    console.print(table)
    words = "save" if found.cost < 0 else "cost"
    console.print(f"together they would {words} {abs(found.cost):,.0f} against what was decided")
