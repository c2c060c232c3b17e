"""The MLflow flavour of our models: two text files, a signature and an example, and no Python pickle.

MLflow's own LightGBM flavour would save the trees as well, but its loading imports pandas and the
pyfunc machinery, its saving loads the model again in another process to guess requirements (some
10 s), and the calibration would have to travel beside it. Here the registry shows the signature and
the example in the same way, the folder is what :func:`fraud.model.card.read_model` reads, and loading it
takes about 15 ms.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from fraud.model.card import CARD_FILE, TREES_FILE, Floats, ModelCard, write_model

FLAVOR: Final = "fraud"
EXAMPLE_FILE: Final = "input_example.json"


def make_signature(names: Sequence[str]) -> ModelSignature:
    """Describe the model for the registry: every feature a double that may be missing."""
    inputs: list[ColSpec | TensorSpec] = [ColSpec("double", name, required=False) for name in names]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("double", "probability")]))


def save_model(path: str, mlflow_model: Model, *, trees: str, card: ModelCard, example: Floats) -> None:
    """Write the model's folder; called by ``mlflow.models.Model.log``.

    Parameters
    ----------
    path
        Folder to make.
    mlflow_model
        What MLflow knows of the model; gets its flavour, signature and example.
    trees
        LightGBM's text.
    card
        Everything else.
    example
        Some vectors, [n, F].
    """
    folder = Path(path)
    folder.mkdir(parents=True)
    write_model(folder, trees, card)
    rows = [[None if value != value else value for value in row] for row in example.tolist()]  # noqa: PLR0124  (NaN)
    text = json.dumps({"columns": list(card.feature_names), "data": rows})
    (folder / EXAMPLE_FILE).write_text(text, encoding="utf-8")
    info: dict[str, Any] = {"artifact_path": EXAMPLE_FILE, "type": "dataframe", "pandas_orient": "split"}
    mlflow_model.saved_input_example_info = info
    mlflow_model.signature = make_signature(card.feature_names)
    mlflow_model.add_flavor(FLAVOR, trees=TREES_FILE, card=CARD_FILE, features_version=card.features_version)
    mlflow_model.model_size_bytes = sum(file.stat().st_size for file in folder.iterdir())
    mlflow_model.save(str(folder / "MLmodel"))
