"""The chain of steps of one data interval: those that are done are passed over, a failed one runs again."""

from collections.abc import Callable, Mapping
from typing import Any

from fraud.errors import BadInput
from fraud.learn.settings import GateSettings, TrainSettings
from fraud.rollout.settings import RolloutSettings
from fraud.settings.names import suggest
from jobs.retrain.records import Records
from jobs.retrain.settings import Interval, RetrainSettings
from jobs.retrain.steps import STEPS, Context


def retrain(
    interval: Interval,
    settings: RetrainSettings,
    train: TrainSettings,
    gate: GateSettings,
    rollout: RolloutSettings,
    *,
    step: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> Mapping[str, Any]:
    """Run all steps of an interval, or one.

    The same interval and data give one version, however often it runs: steps that are done are not
    done again, and a version that is registered is found again by its tags, also with another folder.

    Parameters
    ----------
    interval
        Its end is the moment of retraining: later transactions and labels are not seen.
    settings, train, gate, rollout
        Of the retraining, and of the training, the gate and the rollout within it.
    step
        Run this step alone, whether it is done or not; its results replace the old ones.
    tell
        Told, in words, what begins.

    Returns
    -------
    Mapping
        The record of the last step.

    Raises
    ------
    BadInput
        When the data are refused, a step is not known, or one before it has not been done.
    Unavailable
        When registry or model server do not answer; run it again, and it continues from there.
    """
    if step and step not in STEPS:
        raise BadInput(f"there is no step {step!r}; {suggest(step, STEPS)}")
    records = Records(settings.work / train.model_name / interval.name)
    context = Context(interval, settings, train, gate, rollout, records, tell)
    record: dict[str, Any] = {}
    # The first step always runs: it says on which data the others were, or were not, done.
    must_run = step or "validate"
    for name in [step] if step else STEPS:
        if name != must_run and records.is_done(name, context.identity()):
            tell(f"{name}: done before")
            record = records.read(name)
            continue
        tell(name)
        record = STEPS[name](context)
        later = list(STEPS)[list(STEPS).index(name) + 1 :]
        if name != "validate":
            record = {**record, "identity": context.identity()}
            records.forget(later)
        elif records.is_there(name) and context.fingerprint() != record["fingerprint"]:
            records.forget(later)  # they were done on other data
        records.write(name, record)
    return record
