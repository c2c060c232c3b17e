"""Experiments between two models: who is in which arm, and what each arm does; a YAML file.

::

    id: challenger-7
    salt: 9f4e1c2ab7          # mixed into the hash of the user; a new one draws the arms again
    start: 2026-11-24T00:00:00Z
    stop: 2026-12-22T00:00:00Z
    arms:                     # the first is the control
      - {name: control, weight: 0.5, alias: champion, shadow: challenger}
      - {name: treatment, weight: 0.5, alias: challenger}
    metric: money_saved
    effect: 0.2               # least difference per transaction worth finding
    alpha: 0.05               # chance of one false alarm over all looks at all metrics
    maturity_days: 14         # a transaction without a label counts as honest after this long
    guardrails:               # treatment minus control; the experiment stops if it surely exceeds the limit
      - {metric: false_declines, at_most: 0.002}

An arm's ``alias`` of the registry decides; its ``shadow`` is scored too, without any effect. One arm with a
shadow is an experiment in shadow mode. Reads the file and its stop record (``<file>.stopped``), which the
analysis writes. Stream and scoring service follow both without a restart: an experiment begins when the
file appears, and ends when it is taken away.
"""

import json
import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from xxhash import xxh3_64_intdigest

from fraud.contracts.columns import names_of
from fraud.contracts.decision import TrialPart
from fraud.errors import BadConfig
from fraud.settings.definition import Stamp, parse_definition, stamp_of

log = logging.getLogger(__name__)

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Alias(StrEnum):
    """Which registered model."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


class Metric(StrEnum):
    """What is compared, per transaction."""

    MONEY_SAVED = "money_saved"
    """Amount of fraud that was not approved, in currency units."""
    FALSE_DECLINES = "false_declines"
    """Share of honest transactions among all that were declined: 1 where it was, else 0."""
    REVIEWS = "reviews"
    """Share sent to review."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Strict):
    """One way to decide."""

    name: Name
    weight: float = Field(gt=0.0, le=1.0, allow_inf_nan=False)
    """Share of the users."""
    alias: Alias
    """Decides."""
    shadow: Alias | None = None
    """Is scored beside it, without effect."""

    @model_validator(mode="after")
    def _check_shadow(self) -> Self:
        if self.shadow == self.alias:
            raise ValueError("an arm's shadow must be another model than the one that decides")
        return self


class Guardrail(_Strict):
    """A limit on what the treatment may change."""

    metric: Metric
    at_most: float = Field(gt=0.0, allow_inf_nan=False)
    """Greatest difference, treatment minus control, that is tolerated."""


class Experiment(_Strict):
    """A definition; see the module."""

    id: Name
    salt: str = Field(min_length=8, max_length=64)
    start: AwareDatetime
    stop: AwareDatetime
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=2)
    metric: Metric = Metric.MONEY_SAVED
    effect: float = Field(gt=0.0, allow_inf_nan=False)
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    maturity_days: float = Field(default=14.0, ge=0.0, allow_inf_nan=False)
    guardrails: tuple[Guardrail, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stop <= self.start:
            raise ValueError("stop must come after start")
        if abs(sum(arm.weight for arm in self.arms) - 1.0) > 1e-9:
            raise ValueError("the arms' weights must add up to 1")
        if len({arm.name for arm in self.arms}) < len(self.arms):
            raise ValueError("two arms have the same name; rename one")
        if self.arms[0].alias is not Alias.CHAMPION:
            raise ValueError("the first arm is the control: its alias must be champion")
        if len({arm.alias for arm in self.arms}) < len(self.arms):
            raise ValueError("both arms use the same model; give them different aliases")
        if len(self.arms) == 1 and self.arms[0].shadow is None:
            raise ValueError("one arm without a shadow compares nothing; add a second arm, or a shadow")
        return self

    @property
    def maturity(self) -> timedelta:
        """How long a transaction waits for its label."""
        return timedelta(days=self.maturity_days)

    @cached_property
    def _bounds(self) -> tuple[float, ...]:
        return tuple(accumulate(arm.weight for arm in self.arms[:-1]))

    def arm_of(self, key: str) -> Arm:
        """Tell a user's arm: always the same one, for every caller.

        Examples
        --------
        >>> arms = [{"name": alias, "weight": 0.5, "alias": alias} for alias in ("champion", "challenger")]
        >>> days = {"start": "2026-01-01T00:00:00Z", "stop": "2026-02-01T00:00:00Z"}
        >>> one = Experiment(id="x", salt="saltsalt", arms=arms, effect=1.0, **days)
        >>> one.arm_of("u1").name == one.arm_of("u1").name
        True
        """
        share = xxh3_64_intdigest(f"{self.salt}:{key}".encode()) / 2.0**64
        return self.arms[bisect_right(self._bounds, share)]


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """The experiment and arm that a decision was part of, as the decision records them."""

    experiment: str
    arm: str
    shadow_score: float | None = None
    """Of the model that had no say; None where the arm has no shadow or it did not answer."""
    shadow_version: str | None = None


class Stop(_Strict):
    """The record that ends an experiment before its time."""

    experiment: Name
    at: AwareDatetime
    by: str
    """``guardrail``, ``sample_ratio`` or a person."""
    reason: str


def read_experiment(file: Path) -> Experiment:
    """Read a definition.

    Raises
    ------
    BadConfig
        With the file's line, the field and the reason.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadConfig(f"experiment {file}: {error.strerror}") from error
    return parse_definition(Experiment, raw, file.name)[0]


def stop_file(file: Path) -> Path:
    """Name the stop record of a definition."""
    return file.with_name(f"{file.name}.stopped")


def read_stop(file: Path, experiment: Experiment) -> Stop | None:
    """Read the stop record of this experiment; one of an earlier experiment in the same file does not count.

    A record that cannot be read stops it too: somebody meant to stop something.
    """
    found = stop_file(file)
    try:
        stop = Stop.model_validate_json(found.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("the stop record %s cannot be read, the experiment is stopped: %s", found, error)
        return Stop(experiment=experiment.id, at=datetime.now(UTC), by="unknown", reason="unreadable record")
    return stop if stop.experiment == experiment.id else None


def stop_experiment(
    file: Path, experiment: Experiment, by: str, reason: str, write: Callable[[Path, str], None] | None = None
) -> Stop:
    """Write the stop record, whole or not at all; an earlier one of this experiment stays.

    Parameters
    ----------
    file
        The definition.
    by, reason
        Who, and why; both are kept.
    write
        Puts a text where the stop record belongs, if that is not a file that we may write.
    """
    earlier = read_stop(file, experiment)
    if earlier is not None:
        return earlier
    stop = Stop(experiment=experiment.id, at=datetime.now(UTC), by=by, reason=reason)
    (write or _write)(stop_file(file), json.dumps(stop.model_dump(mode="json"), indent=1) + "\n")
    return stop


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


_Stamps = tuple[Stamp | None, ...]


class ExperimentFile:
    """A definition that may appear, change, be stopped or be taken away while a program runs.

    Parameters
    ----------
    file
        The definition; there is no experiment while there is no such file.

    Raises
    ------
    BadConfig
        When it is wrong at the start.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._stamps()
        self.experiment: Experiment | None = None
        self.stopped: Stop | None = None
        self._read()
        self.refused = ""
        """Why the file as it is now was refused; empty: it is in force."""

    def look(self) -> None:
        """Take in what has changed; a wrong definition is refused and the one before stays in force."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._read()
            self.refused = ""
        except BadConfig as error:
            self.refused = str(error)
            log.warning("the experiment stays as it was: %s", error)
            self._read_stop()
        log.info("experiment %s, stopped: %s", self.experiment and self.experiment.id, self.stopped)

    def running(self, now: datetime | None = None) -> Experiment | None:
        """Tell the experiment that is under way; None before its start, after its end, or once stopped."""
        now = now or datetime.now(UTC)
        if self.experiment is None or self.stopped is not None:
            return None
        return self.experiment if self.experiment.start <= now < self.experiment.stop else None

    def _read(self) -> None:
        self.experiment = read_experiment(self._file) if self._file.exists() else None
        self._read_stop()

    def _read_stop(self) -> None:
        self.stopped = read_stop(self._file, self.experiment) if self.experiment else None

    def _stamps(self) -> _Stamps:
        return tuple(stamp_of(file) for file in (self._file, stop_file(self._file)))


def open_experiment(file: Path | None) -> ExperimentFile | None:
    """Open a definition, where there is one."""
    return ExperimentFile(file) if file else None


def split_by_arm(experiment: Experiment, users: Sequence[str]) -> list[Arm]:
    """Tell the arms of many users."""
    known = {user: experiment.arm_of(user) for user in set(users)}
    return [known[user] for user in users]


TRIAL_FIELDS: Final = names_of(TrialPart)
"""Of a decision's record, from :class:`ExperimentRecord`."""
