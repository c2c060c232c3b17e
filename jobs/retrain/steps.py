"""The steps of a retraining, in their order; each reads what earlier ones left and can be run again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import xxhash

from fraud.errors import BadInput
from fraud.learn.examples import Split, build_examples, split_by_time, to_micros
from fraud.learn.gate import judge
from fraud.learn.measure import measure
from fraud.learn.profile import make_profile, write_profile
from fraud.learn.report import Evaluation, write_report
from fraud.learn.settings import GateSettings, TrainSettings
from fraud.learn.tables import known_at, read_raw, read_tables
from fraud.learn.thresholds import costs_of
from fraud.learn.training import EXAMPLE_ROWS, compare, describe, fit, flat
from fraud.model.aliases import CHAMPION, GATE, GATE_REASONS, TRAINED_UNTIL
from fraud.model.card import read_model, write_model
from fraud.model.publish import Report, publish
from fraud.model.registry import ModelVersions, open_registry
from fraud.rollout.pipeline import roll_out
from fraud.rollout.places import open_place
from fraud.rollout.settings import RolloutSettings
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.settings.base import parse_time
from fraud.watch.profile import PROFILE_FILE
from jobs.retrain.records import Records
from jobs.retrain.settings import Interval, RetrainSettings
from jobs.retrain.validate import validate

DAY: Final = timedelta(days=1)
_WHERE: Final = {
    *("data", "transactions", "labels", "columns", "delta_options", "threads"),
    *("mlflow_uri", "registry_uri", "experiment", "alias"),
}
"""Settings that say where things lie, not what comes out."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every step is given."""

    interval: Interval
    retrain: RetrainSettings
    train: TrainSettings
    gate: GateSettings
    rollout: RolloutSettings
    records: Records
    tell: Callable[[str], None]
    schema: Schema = field(default_factory=deployed_schema)
    """Of the data."""

    @property
    def gap(self) -> timedelta:
        """How long labels take."""
        return self.train.label_gap_days * DAY

    @property
    def as_of(self) -> datetime:
        """The moment of training: the newest matured labels after it are the gate's."""
        return self.interval.end - self.gap - self.retrain.gate_days * DAY

    def fingerprint(self) -> str:
        """Of the data that were validated."""
        return str(self.records.read("validate")["fingerprint"])

    def identity(self) -> str:
        """Of the data, and of every setting that shapes the model: what makes two retrainings the same."""
        shaping = self.train.model_dump_json(exclude=_WHERE) + self.retrain.model_dump_json(
            include={"gate_days"}
        )
        words = f"{self.fingerprint()}{self.schema.features_version}{shaping}"
        return xxhash.xxh3_128_hexdigest(words.encode())

    def split(self) -> Split:
        """Training period and the gate's."""
        train_end = self.as_of - self.gap
        begin = self.train.train_from
        if self.train.train_days is not None:
            begin = train_end - self.train.train_days * DAY
        examples = self.records.read_examples()
        return split_by_time(
            examples, self.as_of, train_end, begin=begin, test_end=self.interval.end - self.gap
        )


def validate_data(context: Context) -> dict[str, Any]:
    """Check the interval's data; a bad day stops here, with every reason."""
    transactions, labels = read_raw(context.train, is_checked=False, schema=context.schema)
    found = validate(
        transactions, labels, context.interval, context.gap, context.retrain, schema=context.schema
    )
    record = {"failures": list(found.failures), "figures": found.figures}
    if not found.is_good:
        context.records.write("refused", record)
        listed = "\n  ".join(found.failures)
        raise BadInput(f"the data of {context.interval.name} are refused:\n  {listed}")
    tables = known_at(read_tables(context.train, schema=context.schema), context.interval.end)
    return {**record, "fingerprint": tables.fingerprint}


def compute_vectors(context: Context) -> dict[str, Any]:
    """Put vectors and labels beside the transactions known at the interval's end."""
    tables = known_at(read_tables(context.train, schema=context.schema), context.interval.end)
    if tables.fingerprint != context.fingerprint():
        raise BadInput("the tables changed since they were validated; run the step validate again")
    examples = build_examples(tables, vectors=context.train.vectors, gap_days=context.train.label_gap_days)
    context.records.write_examples(examples)
    return {"transactions": len(examples), "frauds": int(examples.is_fraud.sum())}


def train_model(context: Context) -> dict[str, Any]:
    """Fit, calibrate and choose thresholds on what was known at ``as_of``."""
    split = context.split()
    fitted = fit(split, context.train, context.tell)
    folder = context.records.folder / "model"
    folder.mkdir(exist_ok=True)
    write_model(folder, fitted.booster.model_to_string(), fitted.model.card)
    end_us = to_micros(context.interval.end)  # labels of the last weeks are not in yet: none is needed
    raw = known_at(read_tables(context.train, schema=context.schema), context.interval.end).transactions
    examples = context.records.read_examples()
    write_profile(make_profile(examples, raw, split, fitted.model, None, until_us=end_us), folder)
    probability = fitted.model.predict(split.test.vectors)
    comparison = compare(fitted, split, probability, context.train, context.tell)
    figures = flat(comparison)
    parameters = {key: _plain(value) for key, value in describe(context.train, split, fitted).items()}
    return {"parameters": parameters, "figures": figures}


def evaluate_model(context: Context) -> dict[str, Any]:
    """Write the report on the newest matured labels."""
    context.records.read("train")
    split = context.split()
    model = read_model(context.records.folder / "model", threads=0)
    probability = model.predict(split.test.vectors)
    metrics = measure(probability, split.test.is_fraud, split.test.amount, model.card.thresholds)
    folder = context.records.folder / "report"
    folder.mkdir(exist_ok=True)
    evaluation = Evaluation(
        title=f"{context.train.model_name}: retraining of {context.interval.name}",
        facts=_tags(context),
        model=model,
        examples=split.test,
        probability=probability,
        metrics=metrics,
        costs=costs_of(context.train),
    )
    files = write_report(evaluation, folder)
    return {
        "metrics": metrics.as_dict(),
        "files": [str(file.relative_to(context.records.folder)) for file in files],
    }


def pass_gate(context: Context) -> dict[str, Any]:
    """Judge the new model against the champion, on what neither was trained on."""
    context.records.read("train")
    challenger = read_model(context.records.folder / "model", threads=0)
    with _registry(context):
        versions = ModelVersions(context.train.model_name)
        champion = versions.at(CHAMPION)
        tags = versions.tags(champion) if champion else {}
        # A champion for another feature table cannot be asked; the rules stand in for it.
        fits = tags.get("features_version") == context.schema.features_version
        model = versions.load(champion) if champion and fits else None
    period = context.split().test
    # Who does not say it, as versions of before this tag, may have seen what came before its moment.
    until = tags.get(TRAINED_UNTIL, tags.get("as_of"))
    unseen = period.event_us >= to_micros(parse_time(until)) if model and until else None
    decision = judge(challenger, model, period if unseen is None else period.take(unseen), context.gate)
    if unseen is not None and not unseen.all() and not decision.is_accepted:
        seen = (
            f"{int((~unseen).sum()):,} of {len(period):,} transactions of the gate's period are from before "
        )
        seen += f"{until}, which version {champion} was trained up to, and do not count"
        decision = replace(decision, reasons=(*decision.reasons, seen))
    context.tell(f"gate: {decision.word}: {'; '.join(decision.reasons)}")
    return {**asdict(decision), "reasons": list(decision.reasons), "champion": champion or ""}


def register_model(context: Context) -> dict[str, Any]:
    """Register the version with the gate's decision; one that is there already is found, not made again."""
    gate, trained = context.records.read("gate"), context.records.read("train")
    evaluated = context.records.read("evaluate")
    decision = {
        GATE: "accepted" if gate["is_accepted"] else "refused",
        GATE_REASONS: "; ".join(gate["reasons"]),
        **{f"gate_{name}": f"{value:.6g}" for name, value in gate["figures"].items()},
    }
    folder = context.records.folder
    with _registry(context):
        versions = ModelVersions(context.train.model_name)
        version = versions.find({"retraining": context.identity()})
        if version is None:
            model = read_model(folder / "model")
            report = Report(
                trees=model.trees,
                card=model.card,
                example=context.split().train.vectors[:EXAMPLE_ROWS],
                parameters=trained["parameters"],
                metrics={**evaluated["metrics"], **trained["figures"]},
                tags={**_tags(context), **decision},
                files=[*(folder / name for name in evaluated["files"]), folder / "model" / PROFILE_FILE],
            )
            source = context.train.transactions or context.train.data
            version = publish(report, source, context.train.model_name, "").version
        versions.tag(version, decision)
        if gate["is_accepted"] and versions.at(CHAMPION) != version:
            versions.challenge(version)
    return {"version": version}


def roll_out_model(context: Context) -> dict[str, Any]:
    """Try the version on a share of the traffic; it becomes champion, or is taken back (``jobs/rollout``)."""
    version = str(context.records.read("register")["version"])
    outcome = roll_out(version, context.rollout, open_place(context.rollout), context.tell)
    return {
        "version": version,
        "outcome": outcome.word,
        "why": outcome.why,
        "champion": outcome.champion or "",
    }


STEPS: Final[dict[str, Callable[[Context], dict[str, Any]]]] = {
    "validate": validate_data,
    "features": compute_vectors,
    "train": train_model,
    "evaluate": evaluate_model,
    "gate": pass_gate,
    "register": register_model,
    "rollout": roll_out_model,
}
"""Every step by its name, in order."""


def _tags(context: Context) -> dict[str, str]:
    return {
        "features_version": context.schema.features_version,
        "data_fingerprint": context.fingerprint(),
        "as_of": context.as_of.isoformat(),
        TRAINED_UNTIL: (context.as_of - context.gap).isoformat(),
        "interval": context.interval.name,
        "retraining": context.identity(),
    }


def _registry(context: Context) -> Any:
    train = context.train
    return open_registry(train.mlflow_uri, train.experiment, train.registry_uri)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
