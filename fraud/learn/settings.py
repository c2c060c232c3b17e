"""Settings of training (``FRAUD_TRAIN_*``), evaluation (``FRAUD_EVALUATE_*``) and gate (``FRAUD_GATE_*``)."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from fraud.contracts.future import MOST_AHEAD_S, MostAhead
from fraud.schema.source import Reading
from fraud.settings.access import DeltaAccess, ModelAccess
from fraud.settings.base import Settings

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Cost = Annotated[float, Field(ge=0.0)]
Address = Annotated[str, BeforeValidator(str)]  # a path, also as such, or a URI
Days = Annotated[float, Field(gt=0.0)]


class CostSettings(Settings):
    """What the outcomes of decisions cost."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    review_cost: Cost = 5.0
    """An analyst's review, currency units."""
    wrong_decline_cost: Cost = 20.0
    """Declining an honest transaction, currency units."""
    fraud_cost_share: Annotated[float, Field(gt=0.0)] = 1.0
    """What an approved fraud costs, as a share of its amount."""


class SourceSettings(DeltaAccess, CostSettings, ModelAccess):
    """What training and evaluation have in common: the tables, what errors cost, the registry."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    data: Address = "data"
    """Folder (or URI) with the tables ``transactions`` and ``labels`` (.parquet, .csv, or Delta) and, in the
    platform's own archive, ``features``; read where ``transactions`` is not given."""
    transactions: Address = ""
    """A table of transactions: a CSV or Parquet file, a folder of such files, or a Delta table (also a URI);
    or such a folder of tables."""
    labels: Address = ""
    """A table of labels; not needed if the transactions have a column ``is_fraud``."""
    results: Address = ""
    """A table of results, where the schema takes any; a folder's own where it is not given."""
    profiles: Address = ""
    """A table of profiles, where entities have any; a folder's own where it is not given."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our name: the tables' name of a column, where they differ, e.g. ``{"user_id": "card"}``."""
    reading: Reading = Reading()
    """What the tables' texts mean where a guess would be wrong, e.g. ``{"decimal": "comma"}``."""
    vectors: Literal["auto", "served", "computed"] = "auto"
    """Feature vectors: those that were served (needs ``features``), computed from the tables, or
    served where every transaction has one of this build's feature table."""
    label_gap_days: Annotated[float, Field(ge=0.0)] = 21.0
    """How long labels take to arrive, days. Transactions younger than this at ``as_of`` are not trained on;
    an older one without a label counts as honest. If a table has no ``label_time``, labels are
    taken to come so many days after their transaction."""
    most_ahead_s: MostAhead = MOST_AHEAD_S
    """How far a row may be dated ahead of its arrival (its ``received_at``, else the moment of reading),
    seconds; one further ahead is left out, with a warning. A source has its own bound, if the schema has one
    (part ``future``)."""

    review_capacity: Share = 0.02
    """Greatest share of transactions that analysts can review."""

    seed: int = 7
    """Seed of all random numbers."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the training; 0: all cores."""
    experiment: str = "fraud"
    """MLflow experiment; on Databricks a workspace path such as ``/Shared/fraud``."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """Refuse, before hours of work, names that Databricks would refuse at the end of them."""
        if self.mlflow_uri.startswith("databricks") and not self.experiment.startswith("/"):
            raise ValueError("experiment must be a workspace path on Databricks, e.g. /Shared/fraud")
        registry = self.registry_uri or self.mlflow_uri
        parts = self.model_name.split(".")
        if registry.startswith("databricks-uc") and (len(parts) != 3 or not all(parts)):
            raise ValueError("model_name must be catalog.schema.model in Unity Catalog")
        return self


class TrainSettings(SourceSettings):
    """What to train on, and how."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_TRAIN_", frozen=True, extra="forbid")

    as_of: AwareDatetime | None = None
    """The moment of training: no label that came later is used, and the test begins. None: ``test_share`` of
    the data's time span before its end, or before ``test_until``, by ``test_days`` if given."""
    test_share: Share = 0.25
    """Share of the time span that is test when neither ``as_of`` nor ``test_days`` is given."""
    test_days: Days | None = None
    """Length of the test, days from ``as_of`` on; None: to the end."""
    test_until: AwareDatetime | None = None
    """End of the test; instead of ``test_days``."""
    train_until: AwareDatetime | None = None
    """End of the training period; instead of ``label_gap_days`` before ``as_of``, and not later than it."""
    train_days: Days | None = None
    """Length of the training period, days before its end; None: from the data's beginning."""
    train_from: AwareDatetime | None = None
    """Beginning of the training period; instead of ``train_days``."""

    folds: Annotated[int, Field(ge=1, le=10)] = 3
    """Forward-chaining validation: so many blocks at the end of the training period, each predicted by a
    model of all that came before it."""
    validation_share: Share = 0.4
    """Share of the training period's time that these blocks cover together."""
    validation_rows: Annotated[int, Field(ge=1_000)] = 300_000
    """Transactions that each model of the validation learns from at most: every fraud, and a sample of the
    honest, each of which counts for those left out. All of a block is held; the last fit sees everything."""
    trials: Annotated[int, Field(ge=0)] = 8
    """Budget of the search for parameters (Optuna); 0: the defaults."""
    tune_rows: Annotated[int, Field(ge=1_000)] = 100_000
    """Transactions that the search sees at most: every fraud, and a sample of the honest."""
    balance: Literal["auto", "none", "root", "full"] = "auto"
    """Weight of a fraud: 1, the root of the honest to one fraud, or that ratio; auto: by validation."""
    calibration: Literal["auto", "sigmoid", "isotonic"] = "auto"
    """From log-odds to probabilities; auto: by validation."""
    monotone: bool = True
    """Whether the constraints that the feature table states hold in the trees."""
    baselines: bool = True
    """Whether the other models are trained and compared in the same run."""
    baseline_rows: Annotated[int, Field(ge=1_000)] = 150_000
    """Transactions that each of them sees at most: every fraud, and a sample of the honest."""
    bootstrap: Annotated[int, Field(ge=0)] = 200
    """Resamples of users behind the intervals; 0: none."""

    only_first: bool = False
    """Train only where the model has no champion yet; else end at once."""
    alias: str = "auto"
    """Alias that the new version gets; ``auto``: champion where there is none, else challenger (the gate
    promotes it); empty: none."""

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        for days, date in (("train_days", "train_from"), ("test_days", "test_until")):
            if getattr(self, days) is not None and getattr(self, date) is not None:
                raise ValueError(f"give {days} or {date}, not both")
        return self

    @classmethod
    def quick(cls, data: str, *, as_of: datetime, mlflow_uri: str, seed: int) -> Self:
        """Make settings for a model in seconds: no search, no baselines, rough intervals."""
        return cls(
            data=data,
            as_of=as_of,
            mlflow_uri=mlflow_uri,
            seed=seed,
            folds=2,
            trials=0,
            balance="none",
            baselines=False,
            bootstrap=50,
        )


class EvaluateSettings(SourceSettings):
    """Which model to evaluate, on what."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_EVALUATE_", frozen=True, extra="forbid")

    model: str = "champion"
    """Version or alias in the registry."""
    test_from: AwareDatetime | None = None
    """Beginning of the period; None: the model's own moment of training, so that it has seen none of it."""
    test_until: AwareDatetime | None = None
    """End of the period; None: the end of the data."""
    out: Path = Path("evaluation")
    """Folder for report.html, metrics.json and the pictures."""
    bootstrap: Annotated[int, Field(ge=0)] = 200
    """Resamples of users behind the intervals; 0: none."""


class GateSettings(Settings):
    """What a challenger must keep to become champion."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_GATE_", frozen=True, extra="forbid")

    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.9
    """One-sided confidence that the PR-AUC rises by at least ``min_gain``, by resampled users."""
    min_gain: float = 0.0
    """Least rise of the PR-AUC over the champion's."""
    min_frauds: Annotated[int, Field(ge=1)] = 50
    """Frauds that the period must have for a judgement."""
    resamples: Annotated[int, Field(ge=50)] = 400
    """How often the users are resampled."""
    max_calibration_error: Annotated[float, Field(gt=0.0)] = 0.02
    """Greatest expected calibration error."""
    max_bias: Annotated[float, Field(gt=1.0)] = 1.5
    """Greatest ratio, either way, of the frauds that the probabilities add up to and those that came."""
    max_latency_ms: Annotated[float, Field(gt=0.0)] = 10.0
    """Greatest 99th percentile of scoring one transaction on one thread, milliseconds."""
    segment_drop: Annotated[float, Field(gt=0.0)] = 0.1
    """Greatest fall of the PR-AUC below the champion's in any segment."""
    segment_frauds: Annotated[int, Field(ge=1)] = 20
    """Segments with fewer frauds are not judged."""
    seed: int = 7
    """Seed of the resampling."""
