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
        str, typer.Argument(help="Rules file, or a version that has decided; default: the newest one.")
    ] = "",
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Field that divides the transactions, e.g. category, or amount:50,200; "
            "repeat it to combine several. Default: the segments of the rules, or those of the schema."
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
    """Find the cheapest thresholds of each segment within the capacity; report their cost on later data."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.log.mirror import mirrored  # noqa: PLC0415
    from fraud.rules.effects import Costs  # noqa: PLC0415
    from fraud.rules.versions import newest_rules, rules_named  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.policy import suggest_policy  # noqa: PLC0415
    from jobs.rules.show import lists_of, options_of  # noqa: PLC0415

    console, stream = Console(), LakeSettings()
    with mirrored(stream) as (here, _):
        known = rules_named(rules, here.rules_path) if rules else newest_rules(here.rules_path)
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
    from fraud.money import round_words  # noqa: PLC0415
    from jobs.rules.show import print_rows  # noqa: PLC0415

    title = (
        f"on what came after {found.split:%Y-%m-%d %H:%M} UTC; {len(found.segments) - 1} of {found.tried} "
        f"segments are worth thresholds of their own; {found.left_out:,} transactions are left out"
    )
    choices = (
        [
            one.words,
            round_words(one.cost, found.currency),
            f"{one.reviews_a_day:,.1f}",
            *(f"{count:,}" for count in (one.busiest, one.challenged, one.declined, one.missed)),
        ]
        for one in found.choices
    )
    names = ["choice", "cost", "reviews a day", "busiest day", "challenges", "declines", "missed frauds"]
    print_rows(console, title, names, choices)
    own, chosen = found.choices[0], found.choices[-1]
    if chosen.cost >= own.cost:
        console.print(
            f"note: on this later data the model's own thresholds cost no more: "
            f"{round_words(own.cost, found.currency)}, with {own.busiest:,} reviews on the busiest day",
            highlight=False,
            soft_wrap=True,
        )
    bounds = ("review", "challenge", "decline")
    segments = (
        [
            two.name,
            *(f"{count:,}" for count in (two.transactions, two.frauds)),
            *(
                "" if bound is None else f"{bound:.4f}"
                for bound in (getattr(two.thresholds, b) for b in bounds)
            ),
            *(round_words(cost, found.currency) for cost in (two.cost, two.common_cost)),
        ]
        for two in found.segments
    )
    names = ["segment", "transactions", "frauds", *bounds, "cost", "cost in common"]
    print_rows(console, "thresholds of each segment", names, segments)
