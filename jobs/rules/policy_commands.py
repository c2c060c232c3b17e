"""The family ``fraud policy``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.rules.commands import DeclineCost, Delta, Maturity, ReviewCost, Since, Until

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.rules.policy import SuggestedPolicy

__all__ = ["app", "show", "suggest"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _family() -> None:
    """Choose where review, challenge and decline begin, by segment."""


@app.command()
def suggest(
    rules: Annotated[
        str, typer.Argument(help="File of rules, or a version that has decided; default: the newest one.")
    ] = "",
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="What parts the transactions, e.g. category, or amount:50,200; several times: combined. "
            "Default: the segments of the rules, or those of the schema."
        ),
    ] = None,
    capacity: Annotated[float, typer.Option(min=0.0, help="Reviews that people can do on a day.")],
    out: Annotated[Path, typer.Option(help="File for the rules with these segments.")] = Path("policy.yaml"),
    delta: Delta = "",
    since: Since = "",
    until: Until = "",
    maturity_days: Maturity = 14.0,
    review_cost: ReviewCost = 5.0,
    wrong_decline_cost: DeclineCost = 20.0,
    challenge_cost: Annotated[float, typer.Option(help="Cost of asking for another step.")] = 1.0,
    challenge_left: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of honest cardholders who give up when asked.")
    ] = 0.2,
    challenge_passed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of frauds that pass the step.")
    ] = 0.1,
    challenge: Annotated[bool, typer.Option(help="Whether a score may lead to a challenge.")] = True,
) -> None:
    """Choose thresholds by segment, by cost on past decisions within the capacity; told by later data."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.rules.effects import Costs  # noqa: PLC0415
    from fraud.rules.versions import newest_rules, rules_named  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.policy import suggest_policy  # noqa: PLC0415
    from jobs.rules.show import lists_of, options_of  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    known = rules_named(rules, stream.rules_path) if rules else newest_rules(stream.rules_path)
    given = options_of(since, until, maturity_days, review_cost, wrong_decline_cost)
    given["costs"] = Costs(review_cost, challenge_cost, wrong_decline_cost, challenge_left, challenge_passed)
    with console.status("reading the log") as status, lists_of(known) as past:
        found = suggest_policy(
            delta or stream.delta_path,
            stream.delta_options,
            rules=known,
            by=by or ([] if known.segments else deployed_schema().segments),
            capacity=capacity,
            with_challenge=challenge,
            past=past,
            tell=status.update,
            **given,
        )
    out.write_bytes(found.content)
    show(console, found)
    console.print(f"rules with these segments in {out}; `fraud publish propose {out}` takes them on")


def show(console: "Console", found: "SuggestedPolicy") -> None:
    """Print what was found."""
    from rich.table import Table  # noqa: PLC0415

    console.print(
        f"on what came after {found.split:%Y-%m-%d %H:%M} UTC; {len(found.segments) - 1} of {found.tried} "
        f"segments are worth thresholds of their own; {found.left_out:,} transactions are left out"
    )
    table = Table()
    for name in ("choice", "cost", "reviews a day", "busiest day", "challenges", "declines", "missed frauds"):
        table.add_column(name, justify="left" if name == "choice" else "right")
    for one in found.choices:
        counts = (one.busiest, one.challenged, one.declined, one.missed)
        table.add_row(
            one.words, f"{one.cost:,.0f}", f"{one.reviews_a_day:,.1f}", *(f"{count:,}" for count in counts)
        )
    console.print(table)
    table = Table()
    for name in (
        "segment",
        "transactions",
        "frauds",
        "review",
        "challenge",
        "decline",
        "cost",
        "cost in common",
    ):
        table.add_column(name, justify="left" if name == "segment" else "right")
    for two in found.segments:
        bounds = (two.thresholds.review, two.thresholds.challenge, two.thresholds.decline)
        table.add_row(
            two.name,
            *(f"{count:,}" for count in (two.transactions, two.frauds)),
            *("" if bound is None else f"{bound:.4f}" for bound in bounds),
            *(f"{cost:,.0f}" for cost in (two.cost, two.common_cost)),
        )
    console.print(table)
