"""Where a canary runs, and which model servers the requests pass through."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from fraud.errors import BadConfig, Unavailable
from fraud.local import process
from fraud.local.ports import is_free
from fraud.local.process import ProcessRecord
from fraud.rollout.measure import canary_port
from fraud.rollout.settings import RolloutSettings
from fraud.rollout.watch import await_version

HOST: Final = "127.0.0.1"
STOP_S: Final = 30.0
"""How long a canary may take to end by itself, seconds."""


class Place(Protocol):
    """A platform that a version can be rolled out on."""

    def servers(self) -> list[str]:
        """Name the base addresses of all model servers of the champion; none where nothing is served.

        Raises
        ------
        Unavailable
            When there should be one, and none is there.
        """

    def canary(self, version: str) -> AbstractContextManager[None]:
        """Run a model server of one version; it is ready inside the block, and gone after it.

        Raises
        ------
        Unavailable
            When it ends before it is ready, or is not ready in time.
        """


def open_place(settings: RolloutSettings) -> Place:
    """Open the place that the settings name."""
    if settings.place == "kubernetes":
        from fraud.rollout.kserve import KServe  # noqa: PLC0415  (the other place needs no Kubernetes client)

        return KServe(settings)
    alias_alone = "registry" if settings.mlflow_uri.startswith("sqlite:///") else "local"
    place = alias_alone if settings.place == "auto" else settings.place
    return Registry() if place == "registry" else Local(settings)


class Registry:
    """No model server: a version becomes the champion by its alias alone."""

    def servers(self) -> list[str]:
        """See :class:`Place`."""
        return []

    def canary(self, version: str) -> AbstractContextManager[None]:
        """See :class:`Place`."""
        raise BadConfig(f"version {version} cannot be tried: no model server runs there (setting place)")


class Local:
    """The embedded platform: its model server, and a process beside it."""

    def __init__(self, settings: RolloutSettings) -> None:
        self._settings = settings

    def servers(self) -> list[str]:
        """See :class:`Place`."""
        return [self._settings.predictor_url]

    @contextmanager
    def canary(self, version: str) -> Iterator[None]:
        """See :class:`Place`; it has ended after the block, however that ends."""
        settings = self._settings
        port = settings.canary_port or canary_port(settings.predictor_url)
        if not is_free(HOST, port):
            raise BadConfig(f"port {port} of the canary is in use by another program (canary_port)")
        with TemporaryDirectory(prefix="canary-") as folder:
            started = process.start(
                [sys.executable, "-m", "services.predictor.main"],
                folder=Path.cwd(),
                environment=_environment(settings, version, port),
                log=Path(folder) / "canary.log",
                record=Path(folder) / "canary.json",
                ports={"canary": port},
            )
            url = f"http://{HOST}:{port}/v2/models/{settings.served_name}"
            try:
                await_version(url, version, settings.ready_s, lambda: _check_alive(started))
                yield
            finally:
                process.stop(started, STOP_S)


def _environment(settings: RolloutSettings, version: str, port: int) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FRAUD_PREDICTOR_")},
        "FRAUD_PREDICTOR_HOST": HOST,
        "FRAUD_PREDICTOR_PORT": str(port),
        "FRAUD_PREDICTOR_MLFLOW_URI": settings.mlflow_uri,
        "FRAUD_PREDICTOR_REGISTRY_URI": settings.registry_uri,
        "FRAUD_PREDICTOR_MODEL": f"models:/{settings.model_name}/{version}",
        "FRAUD_PREDICTOR_NAME": settings.served_name,
        "FRAUD_PREDICTOR_CHALLENGER": "",
    }


def _check_alive(canary: ProcessRecord) -> None:
    if not process.is_alive(canary):
        raise Unavailable(
            f"the canary {process.exit_words(canary)} before it was ready; the end of its log:\n"
            f"{process.tail(canary.log) or '(empty)'}"
        )
