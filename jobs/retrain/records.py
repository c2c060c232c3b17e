"""What the steps of one interval leave for each other: a record a step, and files beside it.

A record is written last and at once (rename), so that a step that was killed is not done. It carries the
identity of the data and settings; a step whose record carries another one is to be done again.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from fraud.errors import BadInput
from fraud.learn.examples import Examples

EXAMPLES_FILE: Final = "examples.npz"


class Records:
    """The folder of one interval.

    Parameters
    ----------
    folder
        Made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, step: str) -> dict[str, Any]:
        """Read a step's record.

        Raises
        ------
        BadInput
            When the step has not been done: run it first.
        """
        path = self.folder / f"{step}.json"
        if not path.exists():
            raise BadInput(
                f"step {step} has not been done for {self.folder.name}; run it first (--step {step})"
            )
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record

    def write(self, step: str, record: dict[str, Any]) -> None:
        """Write a step's record, whole or not at all."""
        partial = self.folder / f".{step}.json"
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.folder / f"{step}.json")

    def forget(self, steps: Iterable[str]) -> None:
        """Have steps done again, because one before them was."""
        for step in steps:
            (self.folder / f"{step}.json").unlink(missing_ok=True)
            if step == "features":
                (self.folder / EXAMPLES_FILE).unlink(missing_ok=True)

    def is_there(self, step: str) -> bool:
        """Whether a step has left a record."""
        return (self.folder / f"{step}.json").exists()

    def is_done(self, step: str, identity: str) -> bool:
        """Whether a step has been done on these data with these settings."""
        return self.is_there(step) and self.read(step).get("identity") == identity

    def write_examples(self, examples: Examples) -> None:
        """Keep vectors and labels for the steps that follow."""
        partial = self.folder / f".{EXAMPLES_FILE}"
        with partial.open("wb") as file:
            np.savez(
                file,
                vectors=examples.vectors,
                event_us=examples.event_us,
                label_us=examples.label_us,
                is_fraud=examples.is_fraud,
                amount=examples.amount,
                user=examples.user,
                category=examples.category,
                categories=np.array(examples.categories, np.str_),
            )
        partial.replace(self.folder / EXAMPLES_FILE)

    def read_examples(self) -> Examples:
        """Read what :meth:`write_examples` kept."""
        path = self.folder / EXAMPLES_FILE
        if not path.exists():
            raise BadInput(f"step features has not been done for {self.folder.name}; run it first")
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        names = tuple(found.pop("categories").tolist())
        return Examples(**found, categories=names)
