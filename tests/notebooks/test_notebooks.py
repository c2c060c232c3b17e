"""Every notebook runs from top to bottom on a small world, and is kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_own_checks_hold(path, monkeypatch, tmp_path):
    monkeypatch.setenv("FRAUD_NOTEBOOK_TRANSACTIONS", "12000")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("FRAUD_TRAIN_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    root = {"metadata": {"path": str(path.parents[1])}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=root).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []
