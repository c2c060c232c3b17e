"""The analysis of an experiment: every metric and the sample ratio, day by day, and whether it must stop."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from fraud.decide.experiment import Experiment, Guardrail, Metric
from jobs.experiment.outcomes import NEVER, Outcomes, parts_of
from jobs.experiment.sequential import RATIO_ALPHA, Look, Totals, look, ratio_p_value


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over the days."""

    metric: Metric
    guardrail: Guardrail | None
    """None: it is the experiment's metric."""
    looks: list[Look]

    @property
    def is_decided(self) -> bool:
        """Whether the difference was ever surely not 0."""
        return any(one.lower > 0.0 or one.upper < 0.0 for one in self.looks)

    @property
    def is_violated(self) -> bool:
        """Whether the difference was ever surely beyond what the guardrail bears."""
        bound = self.guardrail.at_most if self.guardrail else np.inf
        return any(one.lower > bound for one in self.looks)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that is said of an experiment."""

    experiment: Experiment
    days: list[datetime]
    series: list[Series]
    """The metric, then the guardrails; empty with one arm."""
    users: list[list[int]]
    """Users seen so far, by day and arm."""
    ratio_p_values: list[float]
    outcomes: Outcomes

    @property
    def is_skewed(self) -> bool:
        """Whether users surely fall into arms otherwise than designed: nothing else can be believed."""
        return min(self.ratio_p_values) < RATIO_ALPHA or self.outcomes.strays > 0

    def name_of(self, metric: Metric) -> str:
        """Name a metric, with the currency of an amount."""
        currency = self.outcomes.currency if metric is Metric.MONEY_SAVED else ""
        return f"{metric} in {currency}" if currency else str(metric)

    def must_stop(self) -> tuple[str, str] | None:
        """Tell who stops it and why; None: it continues."""
        if self.is_skewed:
            counts = ", ".join(
                f"{arm.name} {n}" for arm, n in zip(self.experiment.arms, self.users[-1], strict=True)
            )
            return (
                "sample_ratio",
                f"users by arm: {counts}; {self.outcomes.strays} transactions in a wrong arm",
            )
        for one in self.series:
            if one.guardrail and one.is_violated:
                last = one.looks[-1]
                return "guardrail", (
                    f"{self.name_of(one.metric)} differ by {last.difference:.4g}, beyond doubt by more than "
                    f"{one.guardrail.at_most:g}; treatment {last.treatment:.4g}, control {last.control:.4g}"
                )
        return None

    def conclusion(self) -> str:
        """Say in words what the data show so far."""
        stop = self.must_stop()
        if stop:
            return f"stopped by its {stop[0].replace('_', ' ')}: {stop[1]}"
        if not self.series:
            return "shadow mode: only the scores are compared"
        if not len(self.outcomes.user):
            return f"no transaction is older than {self.experiment.maturity_days:g} days yet; wait for labels"
        main = self.series[0]
        if not main.is_decided:
            return "no difference found yet; let the experiment run (you may look at any time)"
        better = main.looks[-1].difference > 0.0
        return f"the treatment is {'better' if better else 'worse'} in {self.name_of(main.metric)}"


def analyse(experiment: Experiment, outcomes: Outcomes) -> Analysis:
    """Look at every day of an experiment, as somebody who peeks daily would have."""
    last = int(outcomes.day[-1]) if len(outcomes.day) else 0
    plan: list[tuple[Metric, Guardrail | None, float]] = []
    if len(experiment.arms) == 2:
        plan.append((experiment.metric, None, experiment.effect))
        plan += [(one.metric, one, one.at_most) for one in experiment.guardrails]
    alpha = experiment.alpha / max(len(plan), 1)
    n = len(outcomes.users)
    bounds = np.searchsorted(outcomes.day, np.arange(last + 2))
    series = []
    for metric, guardrail, effect in plan:
        top, bottom = parts_of(outcomes, metric)
        arms = Totals(n), Totals(n)
        looks = []
        for start, end in pairwise(bounds.tolist()):
            for index, totals in enumerate(arms):
                mine = slice(start, end)
                chosen = outcomes.arm[mine] == index
                totals.add(outcomes.user[mine][chosen], top[mine][chosen], bottom[mine][chosen])
            looks.append(look(*arms, alpha, effect))
        series.append(Series(metric, guardrail, looks))
    seen = outcomes.user_day < NEVER
    users = [
        [
            int((seen & (outcomes.user_day <= day) & (outcomes.user_arm == arm)).sum())
            for arm in range(len(experiment.arms))
        ]
        for day in [*range(last), NEVER]  # at the last look also those whose transactions wait for labels
    ]
    weights = [arm.weight for arm in experiment.arms]
    start_day = outcomes.first_day.astimezone(UTC)
    return Analysis(
        experiment=experiment,
        days=[start_day + timedelta(days=day) for day in range(last + 1)],
        series=series,
        users=users,
        ratio_p_values=[ratio_p_value(counts, weights) for counts in users],
        outcomes=outcomes,
    )


def state_of(analysis: Analysis, stopped: str | None) -> dict[str, Any]:
    """Summarise for other programs (the console) as JSON."""
    arms = [
        {"name": arm.name, "alias": arm.alias, "shadow": arm.shadow, "weight": arm.weight, "users": n}
        for arm, n in zip(analysis.experiment.arms, analysis.users[-1], strict=True)
    ]
    metrics = [
        {
            "metric": analysis.name_of(one.metric),
            "at_most": one.guardrail.at_most if one.guardrail else None,
            "control": _finite(one.looks[-1].control),
            "treatment": _finite(one.looks[-1].treatment),
            "difference": [_finite(x.difference) for x in one.looks],
            "lower": [_finite(x.lower) for x in one.looks],
            "upper": [_finite(x.upper) for x in one.looks],
            "p_value": min(x.p_value for x in one.looks),
            "is_violated": one.is_violated,
        }
        for one in analysis.series
    ]
    return {
        "experiment": analysis.experiment.id,
        "written_at": datetime.now(UTC).isoformat(),
        "verdict": analysis.conclusion(),  # the name in the file that earlier releases wrote
        "stopped": stopped,
        "arms": arms,
        "metrics": metrics,
        "days": [f"{day:%Y-%m-%d}" for day in analysis.days],
        "ratio_p_value": min(analysis.ratio_p_values),
        "transactions": len(analysis.outcomes.user),
        "immature": analysis.outcomes.immature,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
