"""The family ``fraud rules``."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "backtest", "check", "guard", "report", "suggest"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
RulesFile = Annotated[Path, typer.Argument(help="Rules file (YAML); docs/fraud-lead.md describes it.")]
RulesOrVersion = Annotated[
    str, typer.Argument(help="YAML file, or a version that has decided, e.g. 2026-11-24+1a2b3c4d.")
]
Delta = Annotated[str, typer.Option(help="The Delta tables; default: where the stream writes.")]
Since = Annotated[str, typer.Option("--from", help="Received from this time on, e.g. 2026-11-01.")]
Until = Annotated[str, typer.Option("--to", help="Received before this time, e.g. 2026-12-01.")]
Daily = Annotated[bool, typer.Option("--daily", help="Show the hits of each day.")]
Examples = Annotated[bool, typer.Option("--examples", help="Name each rule's newest hits.")]
Maturity = Annotated[
    float, typer.Option(min=0.0, help="Days after which a transaction without a label counts as honest.")
]
ReviewCost = Annotated[float, typer.Option(help="Cost of a review by an analyst.")]
DeclineCost = Annotated[float, typer.Option(help="Cost of declining an honest transaction.")]


@app.callback()
def _family() -> None:
    """Check rules, and try them on history, before the scoring service has them."""


@app.command()
def check(file: RulesFile) -> None:
    """Check a rules file; an error names the line and the reason."""
    from fraud.decide.rules import read_rules  # noqa: PLC0415

    rules = read_rules(file)
    typer.echo(f"{file}: number of rules {len(rules.rules)}, version {rules.version}")
    for segment in rules.segments:
        typer.echo(f"segment {segment.rule.name}: {segment.rule.reason.text}")
    for rule in (*rules.rules, *(segment.rule for segment in rules.segments)):
        if rule.question is None:
            typer.echo(f"{rule.name}: cannot run over columns; takes 1 to 2 us per transaction in the stream")


@app.command()
def backtest(
    rules: RulesOrVersion,
    *,
    delta: Delta = "",
    since: Since = "",
    until: Until = "",
    maturity_days: Maturity = 14.0,
    review_cost: ReviewCost = 5.0,
    wrong_decline_cost: DeclineCost = 20.0,
    daily: Daily = False,
    examples: Examples = False,
) -> None:
    """Try rules on past transactions: hits, precision and recall with their bounds, money, overlap."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.log.mirror import mirrored  # noqa: PLC0415
    from fraud.rules.backtest import backtest  # noqa: PLC0415
    from fraud.rules.versions import rules_named  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.show import lists_of, notes_on_lists, options_of, show  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with mirrored(stream) as (here, _):
        known = rules_named(rules, here.rules_path)
    with console.status("reading the log") as status, lists_of(known) as past:
        found = backtest(
            known,
            delta or stream.delta_path,
            stream.delta_options,
            past=past,
            on_progress=lambda n: status.update(f"{n:,} transactions"),
            **options_of(since, until, maturity_days, review_cost, wrong_decline_cost),
        )
        notes = notes_on_lists(known, past)
    show(console, found, daily=daily, examples=examples)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)


@app.command()
def report(
    rules: Annotated[
        str, typer.Argument(help="YAML file, or a version that has decided; default: the stream's newest.")
    ] = "",
    *,
    delta: Delta = "",
    since: Since = "",
    until: Until = "",
    maturity_days: Maturity = 14.0,
    review_cost: ReviewCost = 5.0,
    wrong_decline_cost: DeclineCost = 20.0,
    daily: Daily = False,
    examples: Examples = False,
) -> None:
    """Report what each rule did: hits, precision, overlap with model and rules, money saved and lost."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.log.mirror import mirrored  # noqa: PLC0415
    from fraud.rules.report import report  # noqa: PLC0415
    from fraud.rules.versions import newest_rules, rules_named  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.show import options_of, show  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with mirrored(stream) as (here, _):
        known = rules_named(rules, here.rules_path) if rules else newest_rules(here.rules_path)
    with console.status("reading the log"):
        found = report(
            known,
            delta or stream.delta_path,
            stream.delta_options,
            **options_of(since, until, maturity_days, review_cost, wrong_decline_cost),
        )
    show(console, found, daily=daily, examples=examples)


@app.command()
def guard() -> None:
    """List rules that have no hits, far too many, or break their guard (settings: FRAUD_GUARD_*)."""
    from jobs.rules.guard import run  # noqa: PLC0415
    from jobs.rules.settings import RuleGuardSettings  # noqa: PLC0415

    settings = RuleGuardSettings()
    found, entry = run(settings, typer.echo)
    if entry is not None:
        typer.echo(f"version {entry.version} is in force; record {entry.number} says why")
    elif not found:
        typer.echo("all rules are in order")
    if found and settings.is_strict:
        raise typer.Exit(3)


@app.command()
def suggest(
    *,
    out: Annotated[Path, typer.Option(help="File for the drafts.")] = Path("suggested.yaml"),
    delta: Delta = "",
    since: Since = "",
    until: Until = "",
    maturity_days: Maturity = 14.0,
    review_cost: ReviewCost = 5.0,
    most: Annotated[int, typer.Option(min=1, max=50, help="Most rules to suggest.")] = 5,
    min_precision: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least precision that a rule must have on later data.")
    ] = 0.1,
) -> None:
    """Find short rules for frauds that the model and the rules miss, as drafts, tried on later data."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.show import options_of  # noqa: PLC0415
    from jobs.rules.suggest import SuggestionLimits, suggest  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with console.status("reading the log") as status:
        found = suggest(
            delta or stream.delta_path,
            stream.delta_options,
            wanted=SuggestionLimits(most, min_precision),
            tell=status.update,
            **options_of(since, until, maturity_days, review_cost, 20.0),
        )
    out.write_text(found.as_file(), encoding="utf-8")
    for one in found.rules:
        console.print(f"{one.when}\n  {one.words}", highlight=False)
    console.print(
        f"{found.missed:,} missed frauds, {found.tried} candidates, {len(found.rules)} of worth on what came "
        f"after {found.split:%Y-%m-%d %H:%M} UTC; drafts in {out}"
    )
