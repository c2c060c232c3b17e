"""The command ``fraud online``."""

from typing import Annotated

import typer

from fraud.settings.options import MlflowOption, ModelNameOption


def online(
    transactions: Annotated[str | None, typer.Option(help="Table, or folder of tables.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder with the tables, e.g. the archive's.")] = None,
    kafka_bootstrap: Annotated[
        str | None, typer.Option(help="Brokers with the topic labels; '' for the tables' labels alone.")
    ] = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Train a challenger from new labels, starting from the champion; gate and register it (FRAUD_ONLINE_*).

    Only the alias challenger moves. `fraud promote` makes it champion, if the gate has accepted it.
    """
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.learn.settings import GateSettings  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415
    from jobs.online.run import learn  # noqa: PLC0415
    from jobs.online.settings import OnlineSettings  # noqa: PLC0415

    console = Console()
    settings = OnlineSettings(
        **given(
            transactions=transactions,
            data=data,
            kafka_bootstrap=kafka_bootstrap,
            mlflow_uri=mlflow_uri,
            model_name=model_name,
        )
    )
    done = learn(settings, GateSettings(), console.log)
    made = "registered" if done.is_new else "registered before, on the same labels"
    console.print(
        f"version {done.version} ({made}), from champion {done.champion}: gate {done.decision.word}"
    )
