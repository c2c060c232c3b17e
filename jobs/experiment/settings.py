"""Settings of the analysis of experiments, read from the environment (``FRAUD_EXPERIMENT_*``)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import JudgedTables
from fraud.settings.home import in_home


class ExperimentSettings(JudgedTables):
    """Which experiment, on which decisions, and where the report goes."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_EXPERIMENT_", frozen=True, extra="forbid")

    file: Path = Field(default_factory=lambda: in_home("experiment.yaml"))
    """The definition (``fraud.decide.experiment``), as stream and scoring service read it; the stop record is
    written next to it, or into ``config_map``."""
    config_map: str = ""
    """On a cluster: name of the ConfigMap that ``file`` is mounted from, which takes the stop record."""
    out: Path = Field(default_factory=lambda known: in_home("experiment", known["delta"]))
    """Folder for ``report.html`` and ``state.json``, which the console shows."""
    publishes: bool = True
    """Whether the figures go to the Delta table ``figures``, which the stream exports to Prometheus."""
