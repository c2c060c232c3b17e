"""The ``fraud`` command: a table of names; each one's module is imported only when it is called."""

import signal
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import click
import typer
from typer.core import TyperGroup

from fraud.errors import FraudError
from fraud.runtime.surroundings import settle_own
from fraud.settings.names import suggest

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": (
        "fraud.tools.demo.commands:demo",
        "The whole platform on this machine: generate, train, stream, summarise.",
    ),
    "init": ("jobs.init.commands:init", "Find out what a table's columns are; write a schema that reads it."),
    "data": ("jobs.init.commands:data", "Report on a table before any model: gaps, labels, leaks, drift."),
    "up": ("fraud.local.commands:up", "Start the embedded platform and leave it running."),
    "roll": ("fraud.local.commands:roll", "Take a changed schema into force while the platform decides."),
    "restart": (
        "fraud.local.commands:restart",
        "Replace running parts by new processes that are loaded already.",
    ),
    "down": ("fraud.local.commands:down", "Stop what `up` started."),
    "status": ("fraud.local.commands:status", "Show the parts of the embedded platform."),
    "generate": ("services.simulator.commands:generate", "Write a synthetic data set as Parquet."),
    "simulate": ("services.simulator.commands:simulate", "Stream a generated data set to Kafka."),
    "store": ("fraud.store.commands:app", "Look into the feature store: inspect, stats, check, expire."),
    "schema": (
        "jobs.schema.commands:app",
        "Check, show and compare schemas: own fields, entities, features.",
    ),
    "rates": (
        "jobs.rates.commands:app",
        "Reference rates of currencies: check a file, show what holds, send to the topic.",
    ),
    "profiles": (
        "jobs.profiles.commands:app",
        "Profiles of entities (home, limit, segment): check a table, send it to the topic.",
    ),
    "features": ("jobs.features.commands:app", "List, explain and compute the features."),
    "plan": (
        "fraud.tools.plan.commands:plan",
        "Size a deployment: cores, memory, disks, the first bottleneck.",
    ),
    "bench": ("fraud.tools.bench.commands:app", "Measure this machine."),
    "experiment": ("jobs.experiment.commands:app", "A/B and shadow: status, report, stop, simulate."),
    "rules": ("jobs.rules.commands:app", "Check rules, and try them on past transactions."),
    "publish": ("jobs.rules.publish_commands:publish", "Publish rules by two people, and undo it."),
    "audit": ("jobs.rules.publish_commands:audit", "Check who published which rules."),
    "policy": ("jobs.rules.policy_commands:app", "Choose thresholds by segment."),
    "lists": ("jobs.lists.commands:app", "Change the lists that rules read."),
    "clocks": (
        "jobs.clocks.commands:clocks",
        "Measure whose clock is ahead or behind, by terminal or merchant.",
    ),
    "drift": ("jobs.drift.commands:drift", "Compare served data with the model's training data."),
    "performance": (
        "jobs.performance.commands:performance",
        "Measure decisions by matured labels; estimate those without.",
    ),
    "parity": (
        "jobs.parity.commands:parity",
        "Recompute served features from the log; exit non-zero on any difference.",
    ),
    "compact": ("jobs.compact.commands:compact", "Merge small files of the Delta tables."),
    "replay": (
        "jobs.replay.commands:replay",
        "Replay the log: resend dead letters, rebuild the feature store, fill new features.",
    ),
    "backup": (
        "jobs.backup.commands:app",
        "Back up and restore the feature store, MLflow, rules, rates and checkpoint.",
    ),
    "suspended": (
        "jobs.suspended.commands:suspended",
        "Run a command while the stream of a cluster is suspended.",
    ),
    "sql": ("jobs.sql.commands:sql", "Ask the platform's tables in SQL: decisions, labels, features, weeks."),
    "whatif": (
        "jobs.whatif.commands:whatif",
        "Report which frauds the decisions of a period stopped, when, and at which review load.",
    ),
    "train": ("jobs.train.commands:train", "Train, compare, report and register a model."),
    "evaluate": ("jobs.evaluate.commands:evaluate", "Measure a registered model on a labelled table."),
    "promote": ("jobs.evaluate.commands:promote", "Make a version the champion."),
    "rollback": ("jobs.evaluate.commands:rollback", "Make the previous champion the champion again."),
    "online": (
        "jobs.online.commands:online",
        "Train a challenger from new labels, starting from the champion.",
    ),
    "retrain": (
        "jobs.retrain.commands:retrain",
        "Validate, train, gate, register and roll out a model for an interval.",
    ),
    "rollout": (
        "jobs.rollout.commands:rollout",
        "Try a version on some traffic; promote or withdraw it.",
    ),
}
"""Name: (``module:function``, one line of help). The function carries typer annotations."""


class LazyGroup(TyperGroup):
    """A command group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List the commands in the order of the table."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return one command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        target, text = COMMANDS[cmd_name]
        module, name = target.split(":")
        found: Any = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):  # a family of commands: `fraud features list`
            return typer.main.get_command(found)
        single = typer.Typer(add_completion=False)
        single.command(name=cmd_name, help=found.__doc__ or text)(found)
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is asked for; names the nearest one where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {suggest(args[0], COMMANDS, '`fraud --help` lists them')}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the help's table without importing anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; an error of the platform ends with its message and exit code 1.

        A request to end (SIGTERM) unwinds as Ctrl-C does, so that what a command has started is ended.
        """
        settle_own()
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, _interrupt)
        try:
            return super().main(*args, **kwargs)
        except FraudError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            raise SystemExit(1) from error


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Real-time card-fraud detection."""
