"""The family ``fraud rules``."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "backtest", "check", "report"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
RulesFile = Annotated[Path, typer.Argument(help="YAML, see fraud/decide/compiling.py.")]
RulesOrVersion = Annotated[
    str, typer.Argument(help="YAML file, or a version that has decided, e.g. 2026-11-24+1a2b3c4d.")
]


@app.callback()
def _family() -> None:
    """Check rules, and try them on history, before the scoring service has them."""


@app.command()
def check(file: RulesFile) -> None:
    """Check a rules file; an error names the line and the reason."""
    from fraud.decide.rules import read_rules  # noqa: PLC0415

    rules = read_rules(file)
    typer.echo(f"{len(rules.rules)} rules, version {rules.version}")
    for rule in rules.rules:
        if rule.question is None:
            typer.echo(f"{rule.name}: has no form over columns; about 2 us a transaction in the stream")


@app.command()
def backtest(
    rules: RulesOrVersion,
    delta: Annotated[str, typer.Option(help="The Delta tables; default: where the stream writes.")] = "",
    review_cost: Annotated[float, typer.Option(help="Cost of a review by an analyst.")] = 5.0,
    wrong_decline_cost: Annotated[
        float, typer.Option(help="Cost of declining an honest transaction.")
    ] = 20.0,
) -> None:
    """Try rules on past transactions: hits, precision by the known labels, and cost of each rule."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.backtest import Costs, backtest  # noqa: PLC0415
    from jobs.rules.versions import rules_named  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with console.status("reading the log"):
        found = backtest(
            rules_named(rules, stream.rules_path),
            delta or stream.delta_path,
            stream.delta_options,
            costs=Costs(review=review_cost, wrong_decline=wrong_decline_cost),
        )
    title = f"rules {found.version}: {found.transactions:,} transactions, {found.labelled:,} with a label"
    table = Table(title=title, title_justify="left")
    for column in ("rule", "then", "hits", "rate", "changed", "precision", "fraud", "honest", "cost"):
        table.add_column(column, justify="left" if column in {"rule", "then"} else "right")
    for one in found.rules:
        table.add_row(
            one.rule,
            str(one.outcome or ""),
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
    console.print(f"together they would {words} {abs(found.cost):,.0f} against the model without rules")


@app.command()
def report(
    rules: Annotated[
        str, typer.Argument(help="YAML file, or a version that has decided; default: the stream's newest.")
    ] = "",
    delta: Annotated[str, typer.Option(help="The Delta tables; default: where the stream writes.")] = "",
    maturity_days: Annotated[
        float, typer.Option(min=0.0, help="After which a transaction without a label counts as honest.")
    ] = 14.0,
    review_cost: Annotated[float, typer.Option(help="Of an analyst's review.")] = 5.0,
    wrong_decline_cost: Annotated[float, typer.Option(help="Of declining an honest one.")] = 20.0,
) -> None:
    """Tell what each rule did: hits, precision, overlap with model and rules, money saved and lost."""
    from datetime import timedelta  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.backtest import Costs  # noqa: PLC0415
    from jobs.rules.report import report  # noqa: PLC0415
    from jobs.rules.versions import newest_rules, rules_named  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    known = rules_named(rules, stream.rules_path) if rules else newest_rules(stream.rules_path)
    with console.status("reading the log"):
        found = report(
            {rule.name: rule for rule in known.rules},
            delta or stream.delta_path,
            stream.delta_options,
            costs=Costs(review=review_cost, wrong_decline=wrong_decline_cost),
            maturity=timedelta(days=maturity_days),
        )
    title = f"rules {known.version}: {found.transactions:,} decisions in {found.days:,.1f} days"
    table = Table(title=title, title_justify="left")
    table.add_column("rule")
    for column in ("hits", "shadow", "7 days", "precision", "wrong", "model too", "saved", "lost"):
        table.add_column(column, justify="right")
    table.add_column("most beside")
    for one in found.rules:
        beside = one.beside.most_common(1)
        table.add_row(
            one.rule,
            f"{one.hits:,}",
            f"{one.shadow_hits:,}",
            f"{one.recent:,}",
            "" if one.precision is None else f"{one.precision:.1%} of {one.mature:,}",
            f"{one.false_declines:,}",
            f"{one.overlap:.0%}",
            f"{one.saved:,.0f}",
            f"{one.lost:,.0f}",
            f"{beside[0][0]} {beside[0][1] / one.all_hits:.0%}" if beside else "",
        )
    console.print(table)
