"""Where a canary runs, and which model servers the requests pass through."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from fraud.errors import BadConfig
from fraud.rollout.settings import RolloutSettings
from fraud.rollout.watch import await_version


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
            When it does not become ready in time.
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
        raise BadConfig(f"version {version} cannot be tried where nothing is served (setting place)")


class Local:
    """The embedded platform: its model server, and a process beside it."""

    def __init__(self, settings: RolloutSettings) -> None:
        self._settings = settings

    def servers(self) -> list[str]:
        """See :class:`Place`."""
        return [self._settings.predictor_url]

    @contextmanager
    def canary(self, version: str) -> Iterator[None]:
        """See :class:`Place`."""
        settings = self._settings
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FRAUD_PREDICTOR_")},
            "FRAUD_PREDICTOR_PORT": str(settings.canary_port),
            "FRAUD_PREDICTOR_MLFLOW_URI": settings.mlflow_uri,
            "FRAUD_PREDICTOR_REGISTRY_URI": settings.registry_uri,
            "FRAUD_PREDICTOR_MODEL": f"models:/{settings.model_name}/{version}",
            "FRAUD_PREDICTOR_NAME": settings.served_name,
            "FRAUD_PREDICTOR_CHALLENGER": "",
        }
        url = f"http://127.0.0.1:{settings.canary_port}"
        process = subprocess.Popen([sys.executable, "-m", "services.predictor.main"], env=environment)
        try:
            await_version(f"{url}/v2/models/{settings.served_name}", version, settings.ready_s)
            if process.poll() is not None:
                raise BadConfig(f"port {settings.canary_port} belongs to another program (canary_port)")
            yield
        finally:
            process.terminate()
            process.wait(30.0)
