"""The commands ``fraud experiment status``, ``report``, ``stop`` and ``simulate``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jobs.experiment.settings import ExperimentSettings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A/B and shadow experiments between models."
)

_File = Annotated[Path | None, typer.Option(help="Definition; default .fraud/experiment.yaml.")]
_Delta = Annotated[str | None, typer.Option(help="Path or URI of the Delta tables; default the stream's.")]


@app.command()
def status(file: _File = None, delta: _Delta = None) -> None:
    """Show the experiment's state and results; they may be read at any time."""
    from jobs.experiment.run import look_once  # noqa: PLC0415  (`--help` must not wait for the libraries)

    analysis, stop = look_once(_settings(file=file, delta=delta))
    _show(analysis, stop)


@app.command()
def report(
    file: _File = None,
    delta: _Delta = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default .fraud/experiment.")] = None,
) -> None:
    """Write the report with plots, and stop the experiment if a guardrail is significantly violated.

    Exit code 3: there is no experiment.
    """
    from jobs.experiment.run import run  # noqa: PLC0415

    settings = _settings(file=file, delta=delta, out=out)
    if not settings.file.exists():
        typer.echo(f"there is no experiment: {settings.file} would define one")
        raise typer.Exit(3)
    analysis, stop = run(settings)
    _show(analysis, stop)
    typer.echo(f"report: {settings.out / 'report.html'}")


@app.command()
def stop(
    reason: Annotated[str, typer.Option(help="Reason; kept in the stop record.")],
    file: _File = None,
    by: Annotated[
        str, typer.Option(help="Name of the person who stops it; kept in the stop record.")
    ] = "operator",
) -> None:
    """Stop the experiment: the champion decides alone as soon as stream and scoring service see it."""
    from fraud.decide.experiment import read_experiment, stop_file  # noqa: PLC0415
    from jobs.experiment.run import stop_by  # noqa: PLC0415

    settings = _settings(file=file)
    record = stop_by(settings, read_experiment(settings.file), by, reason)
    typer.echo(
        f"{record.experiment} was stopped at {record.at:%Y-%m-%d %H:%M} by {record.by}: {record.reason}"
    )
    place = f"ConfigMap {settings.config_map}, " if settings.config_map else ""
    typer.echo(f"record: {place}{stop_file(settings.file)} (delete it to go on)")


@app.command()
def simulate(
    experiments: Annotated[int, typer.Option(min=1, help="Experiments per row.")] = 1000,
    seed: Annotated[int, typer.Option()] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure false alarms, power and time to a decision on simulated experiments whose truth is known."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from jobs.experiment import simulate as simulation  # noqa: PLC0415

    results = [
        simulation.simulate(experiments, recall, seed + at)
        for at, recall in enumerate((simulation.RECALL, 0.75, 0.9))
    ]
    ratios = {share: simulation.simulate_ratio(experiments, share, seed) for share in (0.5, 0.52)}
    if as_json:
        found = {"results": [one.as_dict() for one in results], "ratio": ratios}
        typer.echo(json.dumps(found, indent=1))
        return
    words = (
        f"{experiments:,} experiments a row, {simulation.USERS:,} users, a look on each of "
        f"{simulation.DAYS} days, alpha {simulation.ALPHA:g}"
    )
    table = Table(title=words)
    for name in ("truth", "decided", "mean day", "truth always within bounds", "one-look test, peeked daily"):
        table.add_column(name, justify="right")
    for one in results:
        table.add_row(
            one.truth, f"{one.decided:.1%}", f"{one.days:.1f}", f"{one.covered:.1%}", f"{one.by_peeking:.1%}"
        )
    console = Console()
    console.print(table)
    for share, (alarms, users) in ratios.items():
        console.print(
            f"sample ratio, {share:.0%} treated of 50%: {alarms:.1%} alarms, mean users {users:,.0f}"
        )


def _settings(**values: Any) -> "ExperimentSettings":
    from fraud.settings.base import given  # noqa: PLC0415
    from jobs.experiment.settings import ExperimentSettings  # noqa: PLC0415

    return ExperimentSettings(**given(**values))


def _show(analysis: Any, stop_record: Any) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    experiment = analysis.experiment
    console.print(f"[bold]{experiment.id}[/] {experiment.start:%Y-%m-%d} to {experiment.stop:%Y-%m-%d}")
    for arm, users in zip(experiment.arms, analysis.users[-1], strict=True):
        shadow = f", shadow {arm.shadow}" if arm.shadow else ""
        console.print(
            f"  {arm.name}: {arm.alias} decides{shadow}; {users:,} users ({arm.weight:.0%} designed)"
        )
    if analysis.series:
        table = Table("per transaction", "control", "treatment", "difference", "lower", "upper", "p-value")
        for series in analysis.series:
            last = series.looks[-1]
            numbers = (last.control, last.treatment, last.difference, last.lower, last.upper)
            p_value = min(one.p_value for one in series.looks)
            table.add_row(analysis.name_of(series.metric), *(f"{x:.4g}" for x in numbers), f"{p_value:.3g}")
        console.print(table)
    console.print(
        f"{len(analysis.outcomes.user):,} transactions matured, {analysis.outcomes.immature:,} wait; "
        f"sample ratio p-value {min(analysis.ratio_p_values):.3g}"
    )
    words = f"stopped by {stop_record.by}: {stop_record.reason}" if stop_record else analysis.conclusion()
    console.print(f"[bold]{words}[/]")
