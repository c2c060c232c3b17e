"""Markdown of the generated pages: one way to write a table."""

from collections.abc import Iterable, Sequence

__all__ = ["code", "table"]


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Write a table; a cell's line ends become spaces.

    Examples
    --------
    >>> table(["a", "b"], [(1, "x|y")])
    '| a | b |\n|---|---|\n| 1 | x\\|y |\n'
    """
    lines = [names, ["---"] * len(names), *rows]
    made = ["| " + " | ".join(map(_cell, line)) + " |\n" for line in lines]
    return "".join(made).replace("| --- |", "|---|").replace(" --- |", "---|")


def code(value: object) -> str:
    """Write a value as code; nothing for none."""
    text = str(value)
    return f"`{text}`" if text else ""


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;").replace("``", "`")
