"""Renders every dashboard, and writes them into charts/monitoring."""

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from fraud.tools.dashboards.boards import BOARDS
from fraud.tools.dashboards.panels import build

FOLDER: Final = Path(__file__).parents[3] / "charts" / "monitoring" / "dashboards"


def render() -> dict[str, str]:
    """Render every dashboard; file's name: JSON."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {f"{board.uid}.json": encoder.encode(build(board)) + "\n" for board in BOARDS}


def run() -> None:
    """Write them."""
    for name, text in render().items():
        (FOLDER / name).write_text(text)
