"""How good the decisions of the stream were, against the labels that were still to come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud.contracts import Decision, Outcome
from fraud.features.kernel import Floats
from fraud.schema.fields import AMOUNT_BASE


@dataclass(frozen=True, slots=True)
class OnlineQuality:
    """Quality of the decisions on the streamed transactions; flagged is whatever was not approved."""

    pr_auc: float
    roc_auc: float
    precision: float
    recall: float
    amount_caught: float
    """Share of the fraud amount that was flagged."""
    flagged_share: float
    fraud_share: float

    def as_dict(self) -> dict[str, float]:
        """Name: value."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Scores and truth, one a scored decision."""

    score: Floats
    is_fraud: np.ndarray[tuple[int], np.dtype[np.bool_]]
    quality: OnlineQuality


def compare(decisions: Mapping[str, Decision], labels: pa.Table) -> Outcomes:
    """Set decisions beside the labels of their transactions.

    Parameters
    ----------
    labels
        Columns transaction_id and is_fraud, of all transactions.
    """
    scored = [decision for decision in decisions.values() if decision.score is not None]
    ids = pa.array([decision.transaction_id for decision in scored])
    found = pc.index_in(ids, labels.column("transaction_id").combine_chunks())
    truth = np.asarray(labels.column("is_fraud").take(found).to_numpy(zero_copy_only=False), np.bool_)
    score = np.array([decision.score for decision in scored], np.float64)
    amount = np.array([getattr(decision, AMOUNT_BASE, decision.amount) or 0.0 for decision in scored])
    flagged = np.array([decision.outcome is not Outcome.APPROVE for decision in scored])
    hits = flagged & truth
    quality = OnlineQuality(
        pr_auc=float(average_precision_score(truth, score)),
        roc_auc=float(roc_auc_score(truth, score)),
        precision=float(hits.sum() / max(flagged.sum(), 1)),
        recall=float(hits.sum() / truth.sum()),
        amount_caught=float(amount[hits].sum() / amount[truth].sum()),
        flagged_share=float(flagged.mean()),
        fraud_share=float(truth.mean()),
    )
    return Outcomes(score, truth, quality)
