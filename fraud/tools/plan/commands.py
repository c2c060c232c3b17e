"""The command ``fraud plan``."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

ENTITIES_PER_USER = 0.02
"""Of an entity beside the primary, e.g. merchants, where --entities does not say."""


def plan(
    *,
    users: Annotated[
        int, typer.Option(help="Number of cardholders (of the primary entity), up to 100,000,000.")
    ],
    transactions_per_second: Annotated[float, typer.Option(help="Rate at the peak, up to 100,000.")],
    latency: Annotated[
        float, typer.Option(help="99th percentile from transaction to decision, milliseconds.")
    ] = 1_100.0,
    entities: Annotated[
        int, typer.Option(help="Number of each other entity, e.g. merchants; 0: 2 % of the users.")
    ] = 0,
    events_per_user: Annotated[
        float, typer.Option(help="Mean transactions of a user in a day; 0: derived from rate and peak.")
    ] = 0.0,
    peak: Annotated[
        float, typer.Option(min=1.0, help="Ratio of the rate at the peak to the day's mean rate.")
    ] = 2.5,
    machine_gib: Annotated[
        float, typer.Option(min=1.0, help="Most memory that one machine of the store can have, GiB.")
    ] = 512.0,
    network_gbit: Annotated[
        float, typer.Option(min=0.1, help="Network speed of a machine of the store, Gbit/s.")
    ] = 10.0,
    kafka_days: Annotated[float, typer.Option(min=0.0, help="How long Kafka keeps records, days.")] = 7.0,
    delta_days: Annotated[float, typer.Option(min=0.0, help="How long the tables keep rows, days.")] = 365.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Size a deployment: cores, memory, shards, partitions, disk, and the first bottleneck.

    From measured figures (fraud/tools/plan/figures.json) and a simulated day of the deployment's schema.
    """
    from fraud.features.passes import deployed_passes  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from fraud.tools.plan.day import simulate_day  # noqa: PLC0415
    from fraud.tools.plan.figures import read_figures  # noqa: PLC0415
    from fraud.tools.plan.sizing import Load, make_plan  # noqa: PLC0415

    if events_per_user:
        peak = transactions_per_second * 86_400.0 / (users * events_per_user)
    load = Load(
        users, transactions_per_second, latency, peak, machine_gib, network_gbit, kafka_days, delta_days
    )
    figures = read_figures()
    passes = deployed_passes()
    counts = [users, *(entities or max(1, round(users * ENTITIES_PER_USER)) for _ in passes[1:])]
    days = simulate_day(passes, counts, load.per_day)
    made = make_plan(load, days, figures)
    if as_json:
        found: dict[str, Any] = {"load": asdict(load), **asdict(made), "measured_on": figures.machine}
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415

    from fraud.tools.plan.tables import tables_of, words_of  # noqa: PLC0415

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    for table in tables_of(made, days):
        console.print(table)
    for line in words_of(made, figures):
        console.print(line)
