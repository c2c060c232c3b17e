"""The final count: records sent, results received, and whether Delta holds each exactly once."""

from dataclasses import asdict, dataclass, fields
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from fraud.contracts import TRANSACTIONS

_DEAD_LETTER_IDENTITY: Final = ["topic", "source_partition", "source_offset"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one demo; ``errors`` says what does not add up."""

    generated: int
    history: int
    """Transactions from before go-live, folded and trained on."""
    streamed: int
    """Transactions sent to Kafka."""
    malformed: int
    """Bad records sent beside them."""
    decisions: int
    dead_letters: int
    delta_transactions: int
    """Rows of the table ``transactions``; distinct ids are as many."""
    delta_features: int
    delta_decisions: int
    delta_dead_letters: int
    delta_repeated: int
    """Rows of any of the tables beyond the first with the same identity."""

    def errors(self) -> list[str]:
        """Say, in words, every sum that does not hold."""
        sums = [
            ("generated = history + streamed", self.generated, self.history + self.streamed),
            (
                "sent = decisions + dead letters",
                self.streamed + self.malformed,
                self.decisions + self.dead_letters,
            ),
            ("streamed = decisions", self.streamed, self.decisions),
            ("Delta transactions = generated", self.delta_transactions, self.generated),
            ("Delta features = generated", self.delta_features, self.generated),
            ("Delta decisions = decisions", self.delta_decisions, self.decisions),
            ("Delta dead letters = dead letters", self.delta_dead_letters, self.dead_letters),
            ("repeated rows in Delta = 0", self.delta_repeated, 0),
        ]
        return [f"{words}: {left:,} against {right:,}" for words, left, right in sums if left != right]

    def as_dict(self) -> dict[str, int]:
        """Name: count."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DeltaCounts:
    """Rows of the Delta tables."""

    transactions: int
    features: int
    decisions: int
    dead_letters: int
    repeated: int


def count_delta(delta: str) -> DeltaCounts:
    """Count rows, and rows with an identity seen before, in the tables under ``delta``.

    Delta's other implementation (delta-rs) reads what Spark wrote.
    """
    counts: dict[str, int] = {}
    repeated = 0
    for table in (field.name for field in fields(DeltaCounts) if field.name != "repeated"):
        identity = _DEAD_LETTER_IDENTITY if table == "dead_letters" else ["transaction_id"]
        rows = pa.table(DeltaTable(f"{delta}/{table}").to_pyarrow_table(columns=identity))
        if table == "dead_letters":
            rows = rows.filter(pc.equal(rows.column("topic"), TRANSACTIONS))
        counts[table] = rows.num_rows
        repeated += rows.num_rows - rows.group_by(identity).aggregate([]).num_rows
    return DeltaCounts(**counts, repeated=repeated)
