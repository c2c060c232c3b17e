"""Pages of the charts, made from their values: one on the site, and a README in each chart.

``python -m fraud.tools.docs.charts`` writes ``charts/*/README.md``. Reads ``Chart.yaml``, ``values*.yaml``
and the comments ``# --`` above the values.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from fraud.tools.docs.markdown import code, table

__all__ = ["main", "page", "readmes"]

_CHARTS: Final = Path(__file__).parents[3] / "charts"


def page() -> str:
    """Write the page of all charts' values."""
    parts = ["# Chart values\nGenerated from `charts/*/values.yaml`.\n"]
    for values in sorted(_CHARTS.glob("*/values.yaml")):
        parts += [f"## {values.parent.name}\n", _table(values)]
    return "\n".join(parts)


def readmes() -> dict[Path, str]:
    """Write the README of every chart: by its path."""
    return {
        values.with_name("README.md"): _readme(values) for values in sorted(_CHARTS.glob("*/values.yaml"))
    }


def main() -> None:
    """Write them into the charts."""
    for path, text in readmes().items():
        path.write_text(text)


def _readme(values: Path) -> str:
    chart = yaml.safe_load(values.with_name("Chart.yaml").read_text())
    name = chart["name"]
    published = f"oci://ghcr.io/OWNER/REPOSITORY/charts/{name} --version VERSION"
    commands = "".join(
        f"helm -n fraud upgrade --install {name} {one}\n" for one in (f"charts/{name}", published)
    )
    title = f"# {name}\n{chart['description']}. Generated from the chart by `make generated`.\n"
    parts = [title, f"```sh\n{commands}```\n"]
    if others := sorted(values.parent.glob("values-*.yaml")):
        rows = [(code(one.name), _first_words(one)) for one in others]
        parts.append(table(["file of values", "for"], rows))
    return "\n".join([*parts, _table(values)])


def _first_words(values: Path) -> str:
    """Take the comment that a file begins with."""
    lines = re.match(r"(?:#.*\n)*", values.read_text())
    words = " ".join(line.removeprefix("#").strip() for line in lines[0].splitlines()) if lines else ""
    return words or {"kind": "one node", "production": "many nodes"}[values.stem.removeprefix("values-")]


def _table(values: Path) -> str:
    rows = [(code(name), code(default), words) for name, default, words in _values(values.read_text())]
    return table(["value", "default", "meaning"], rows)


def _values(text: str) -> Iterator[tuple[str, str, str]]:
    """Read (path, default, words) of the values that a comment ``# --`` describes."""
    path: list[tuple[int, str]] = []
    words: list[str] = []
    for line in text.splitlines():
        comment = re.fullmatch(r"\s*# ?(-- )?(.*)", line)
        if comment is not None:
            words = [comment[2]] if comment[1] else [*words, comment[2]] if words else []
            continue
        found = re.fullmatch(r"( *)([\w.-]+):(.*)", line)
        if found is None:
            words = []
            continue
        depth = len(found[1])
        path = [*((at, name) for at, name in path if at < depth), (depth, found[2])]
        if words:
            yield ".".join(name for _, name in path), found[3].split(" #")[0].strip(), " ".join(words)
        words = []


if __name__ == "__main__":
    main()
