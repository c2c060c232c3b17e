"""The family ``fraud schema``: what ``fraud.schema.commands`` does, and ``import``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraud.schema.commands import app

__all__ = ["app", "import_"]


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="JSON that the API of AWS Fraud Detector answered.")],
    *,
    out: Annotated[Path, typer.Option(help="Schema file to write.")] = Path("schema.yaml"),
    rules: Annotated[Path, typer.Option(help="Rules file to write, where there are rules.")] = Path(
        "rules.yaml"
    ),
    event_type: Annotated[str, typer.Option(help="Which one, where there are several.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=fraud, honest or unknown; repeatable.")
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="NAME=decline, review or approve; repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Make a schema and rules of an export of AWS Fraud Detector; says what has no counterpart."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.schema.reading import parse_schema  # noqa: PLC0415
    from jobs.schema.aws import convert  # noqa: PLC0415
    from jobs.schema.export import as_yaml, read_export  # noqa: PLC0415

    for file in (out, rules):
        if file.exists() and not overwrite:
            raise BadInput(f"{file} exists; replace it with --overwrite, or name another one")
    labels = _pairs(label, "--label", ("fraud", "honest", "unknown"))
    outcomes = _pairs(outcome, "--outcome", ("decline", "review", "approve"))
    made = convert(read_export(files), event_type, labels=labels, outcomes=outcomes)
    text = as_yaml(made.schema)
    schema = parse_schema(text.encode(), str(out))
    out.write_text(text, encoding="utf-8")
    console = Console(highlight=False)
    console.print(_table(made))
    console.print(f"{out}: {len(schema.features)} features of {len(schema.entities)} entities")
    if made.rules is not None:
        rules.write_text(as_yaml(made.rules), encoding="utf-8")
        console.print(
            f"{rules}: {len(made.rules['rules'])} rules; FRAUD_SCHEMA_FILE={out} fraud rules check {rules}"
        )
    console.print(f"{len(made.missing)} of {len(made.notes)} parts have no counterpart")


def _pairs(pairs: list[str] | None, option: str, meanings: tuple[str, ...]) -> dict[str, str]:
    from fraud.errors import BadInput  # noqa: PLC0415

    found = {}
    for pair in pairs or []:
        name, sign, meaning = pair.partition("=")
        if not sign or meaning not in meanings:
            raise BadInput(f"{option} takes NAME={' or '.join(meanings)}; got {pair!r}")
        found[name] = meaning
    return found


def _table(made: Any) -> Any:
    from rich.table import Table  # noqa: PLC0415

    table = Table("what", "theirs", "ours", "to know")
    for note in made.notes:
        style = None if note.ours else "yellow"
        table.add_row(note.what, note.theirs, note.ours or "no counterpart", note.words, style=style)
    return table
