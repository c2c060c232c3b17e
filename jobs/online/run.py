"""One round of online learning: take labels, learn, judge, register as the challenger.

Reads the topic ``labels`` and the tables of transactions and served vectors; writes a version with the
gate's decision in its tags. It moves the alias ``challenger`` and no other one: champion it becomes by
``fraud promote`` (or the rollout), which asks for the gate's tag.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import xxhash

from fraud.errors import BadInput
from fraud.learn.calibrate import calibrate
from fraud.learn.examples import Bools, Examples, build_examples, forward_folds, in_words
from fraud.learn.fit import margins
from fraud.learn.gate import GateDecision, judge
from fraud.learn.measure import measure
from fraud.learn.report import Evaluation, write_report
from fraud.learn.settings import GateSettings
from fraud.learn.tables import read_tables
from fraud.learn.thresholds import choose_thresholds, costs_of
from fraud.learn.training import EXAMPLE_ROWS, describe_distribution
from fraud.model import flavor
from fraud.model.aliases import CHALLENGER, CHAMPION, GATE, GATE_REASONS, TRAINED_UNTIL
from fraud.model.card import Floats, Isotonic, ModelCard, ScoringModel, Sigmoid
from fraud.model.publish import Report, publish
from fraud.model.registry import ModelVersions, open_registry
from jobs.online.labels import take_labels
from jobs.online.learner import DAY_US, ResidualTrees, known_at
from jobs.online.settings import OnlineSettings

HELD: Final = 1.0 / 3.0
"""Newest part of the ripe window's time that calibration and thresholds come from."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a round came to."""

    version: str
    """Registered now, or by an earlier round on the same labels."""
    is_new: bool
    champion: str
    new_labels: int
    decision: GateDecision
    """Of the gate."""


def learn(
    settings: OnlineSettings, gate: GateSettings, tell: Callable[[str], None] = lambda _: None
) -> Learned:
    """Learn from the labels that have arrived, and register the outcome as the challenger.

    Raises
    ------
    BadInput
        When there is no champion to start from, or there are too few frauds in the window.
    Unavailable
        When the brokers or MLflow do not answer.
    """
    labels, new = None, 0
    if settings.kafka_bootstrap:
        tell("taking labels from the topic")
        labels, new = take_labels(settings)
        tell(f"{new:,} new ones, {labels.num_rows:,} in all")
    with open_registry(settings.mlflow_uri, settings.experiment, settings.registry_uri):
        versions = ModelVersions(settings.model_name)
        champion = versions.at(CHAMPION)
        if champion is None:
            raise BadInput(f"{settings.model_name} has no champion to start from; run `fraud train` first")
        examples = read_examples(settings, labels)
        learnt_us, judged = moments(examples, settings)
        known = known_at(examples, learnt_us, settings)
        identity = _identity(champion, known, settings)
        earlier = versions.find({"online": identity})
        if earlier:
            tags = versions.tags(earlier)
            decision = GateDecision(is_accepted=tags[GATE] == "accepted", reasons=(tags[GATE_REASONS],))
            return Learned(earlier, is_new=False, champion=champion, new_labels=new, decision=decision)
        tell(f"learning from {len(known):,} transactions, {int(known.is_fraud.sum()):,} of them fraud")
        before = versions.load(champion)
        model = grow(before, known, learnt_us, settings)
        tell(f"judging on {len(judged):,} later transactions")
        decision = judge(model, before, judged, gate)
        tell(f"gate: {decision.word}: {'; '.join(decision.reasons)}")
        tags = {
            "features_version": model.card.features_version,
            "data_fingerprint": identity,
            "as_of": in_words(learnt_us),
            TRAINED_UNTIL: in_words(learnt_us),
            "online_from": champion,
            GATE: decision.word,
            GATE_REASONS: "; ".join(decision.reasons),
            "online": identity,  # the last: whoever has it has them all
        }
        version = _register(model, known, judged, settings, tags)
    return Learned(version, is_new=True, champion=champion, new_labels=new, decision=decision)


def read_examples(settings: OnlineSettings, labels: pa.Table | None = None) -> Examples:
    """Read vectors and their labels: those of the tables, and those of the topic."""
    tables = read_tables(settings)
    return build_examples(
        tables, vectors=settings.vectors, gap_days=settings.label_gap_days, later_labels=labels
    )


def moments(examples: Examples, settings: OnlineSettings) -> tuple[int, Examples]:
    """Find the moment up to which is learnt, and the ripe stretch after it that the gate judges on.

    Now is when the newest label arrived; nothing is known of what lies after it. One that is dated into the
    future tells nothing of now.
    """
    newest_us = int(examples.event_us.max())
    came = examples.label_us <= newest_us + int(settings.ripe_days * DAY_US)
    if not came.any():
        raise BadInput("no label has arrived yet (column label_time)")
    now_us = int(examples.label_us[came].max())
    ripe_us = min(now_us - int(settings.ripe_days * DAY_US), newest_us)
    learnt_us = ripe_us - int(settings.judge_days * DAY_US)
    rows = (examples.event_us >= learnt_us) & (examples.event_us < ripe_us)
    if not rows.any():
        raise BadInput(f"no transaction is between {in_words(learnt_us)} and {in_words(ripe_us)} to judge on")
    return learnt_us, examples.take(rows)


def grow(
    champion: ScoringModel,
    known: Examples,
    learnt_us: int,
    settings: OnlineSettings,
    calibrated: Callable[[Floats, Bools], Sigmoid | Isotonic] = calibrate,
) -> ScoringModel:
    """Make the challenger: the champion's trees and new ones, calibrated, with thresholds.

    Calibration and thresholds come from the newest part of the window that is ripe at ``learnt_us`` (of the
    rest the frauds alone are known), as trees that have not seen it score it.
    """
    learner = ResidualTrees(champion.booster, settings)
    if known.is_fraud.sum() < settings.least_frauds:
        raise BadInput(
            f"{int(known.is_fraud.sum())} frauds are known in the window (column is_fraud), at least "
            f"{settings.least_frauds} are needed to learn: wait for labels, or raise window_days"
        )
    ripe = known.take(known.event_us < learnt_us - int(settings.ripe_days * DAY_US))
    fold = forward_folds(ripe, 1, HELD)[0]
    held = ripe.take(fold.held)
    unseen = margins(learner.learn(ripe.take(fold.fit)), held.vectors, settings.threads)
    calibration = calibrated(unseen, held.is_fraud)
    probability = calibration.apply(unseen)
    card = ModelCard(
        features_version=known.schema.features_version,
        feature_names=known.schema.feature_names,
        calibration=calibration,
        thresholds=choose_thresholds(probability, held.is_fraud, held.amount, costs_of(settings)),
        reference=describe_distribution(known, probability),
        signature=flavor.make_signature(known.schema.feature_names).to_dict(),
    )
    return ScoringModel(learner.learn(known), card, settings.threads)


def _register(
    model: ScoringModel, known: Examples, judged: Examples, settings: OnlineSettings, tags: dict[str, str]
) -> str:
    probability = model.predict(judged.vectors)
    metrics = measure(probability, judged.is_fraud, judged.amount, model.card.thresholds)
    evaluation = Evaluation(
        title=f"{settings.model_name}: learnt online up to {tags['as_of']}",
        facts=tags,
        model=model,
        examples=judged,
        probability=probability,
        metrics=metrics,
        costs=costs_of(settings),
    )
    with TemporaryDirectory(prefix="online-") as folder:
        report = Report(
            trees=model.trees,
            card=model.card,
            example=known.vectors[:EXAMPLE_ROWS],
            parameters=_parameters(model, known, settings),
            metrics=metrics.as_dict(),
            tags=tags,
            files=write_report(evaluation, Path(folder)),
        )
        source = settings.transactions or settings.data
        return publish(report, source, settings.model_name, CHALLENGER).version


def _parameters(model: ScoringModel, known: Examples, settings: OnlineSettings) -> dict[str, Any]:
    return {
        **settings.model_dump(mode="json", include=_SHAPING),
        "trees": model.booster.num_trees(),
        "train_rows": len(known),
        "train_frauds": int(known.is_fraud.sum()),
        "calibration": model.card.calibration.kind,
        "features_version": model.card.features_version,
    }


_SHAPING: Final = {
    *("window_days", "ripe_days", "rounds", "learning_rate", "leaves", "rows", "least_frauds"),
    *("judge_days", "seed", "review_cost", "wrong_decline_cost", "fraud_cost_share", "review_capacity"),
}
"""Settings that shape what comes out."""


def _identity(champion: str, known: Examples, settings: OnlineSettings) -> str:
    """Of what is learnt, from which start: what makes two rounds the same."""
    digest = xxhash.xxh3_128(
        f"{champion}{known.schema.features_version}{settings.model_dump_json(include=_SHAPING)}".encode()
    )
    for array in (known.vectors, known.event_us, known.is_fraud):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
