"""The family ``fraud schema``: what ``fraud.schema.commands`` does, ``use`` and ``import``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraud.schema.commands import app

__all__ = ["app", "import_", "use"]


@app.command()
def use(
    file: Annotated[Path, typer.Argument(help="A schema's file (YAML).")],
    home: Annotated[
        Path | None, typer.Option(help="Folder of the platform; default FRAUD_LOCAL_HOME, then .fraud.")
    ] = None,
) -> None:
    """Use a schema in the platform on this machine; say what to run next if it ran with another."""
    from fraud.local.schema import use_schema  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from fraud.local.settings import LocalSettings  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415

    for words in use_schema(LocalSettings(**given(home=home)), file):
        typer.echo(words)


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="JSON that the API of AWS Fraud Detector answered; or of Feast: Python files, their folder, "
            "or the output of `feast registry-dump`."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Schema file to write.")] = Path("schema.yaml"),
    rules: Annotated[Path, typer.Option(help="Rules file to write, where there are rules.")] = Path(
        "rules.yaml"
    ),
    event_type: Annotated[
        str, typer.Option(help="AWS: event type to import, if the export has several.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="AWS: NAME=fraud, honest or unknown; repeatable.")
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="AWS: NAME=decline, review or approve; repeatable.")
    ] = None,
    primary: Annotated[str, typer.Option(help="Feast: entity that every transaction has.")] = "",
    events: Annotated[
        list[str] | None, typer.Option(help="Feast: view whose rows are the transactions; repeatable.")
    ] = None,
    amount: Annotated[str, typer.Option(help="Feast: column that is the transaction's amount.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Make a schema from an export of AWS Fraud Detector or Feast; report what has no counterpart."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.schema.reading import parse_schema  # noqa: PLC0415
    from jobs.schema.export import as_yaml  # noqa: PLC0415

    for file in (out, rules):
        if file.exists() and not overwrite:
            raise BadInput(f"{file} exists; replace it with --overwrite, or name another one")
    of_aws, of_feast = bool(event_type or label or outcome), bool(primary or events or amount)
    if _is_feast(files):
        if of_aws:
            raise BadInput(
                "--event-type, --label and --outcome are for exports of AWS; these files are Feast's"
            )
        made = _of_feast(files, primary, events or [], amount)
    else:
        if of_feast:
            raise BadInput("--primary, --events and --amount are for files of Feast; these files are not")
        made = _of_aws(files, event_type, label, outcome)
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


def _is_feast(files: list[Path]) -> bool:
    from jobs.schema.export import read_json  # noqa: PLC0415
    from jobs.schema.feast import is_dump  # noqa: PLC0415

    return any(file.is_dir() or file.suffix == ".py" or is_dump(read_json(file)) for file in files)


def _of_feast(files: list[Path], primary: str, events: list[str], amount: str) -> Any:
    from fraud.errors import BadInput  # noqa: PLC0415
    from jobs.schema.export import read_json  # noqa: PLC0415
    from jobs.schema.feast import Repository, is_dump, read_dump  # noqa: PLC0415
    from jobs.schema.feast_convert import convert  # noqa: PLC0415
    from jobs.schema.feast_python import read_python  # noqa: PLC0415

    found, python = Repository(), []
    for file in files:
        if file.is_dir() or file.suffix == ".py":
            python += sorted(file.rglob("*.py")) if file.is_dir() else [file]
            continue
        content = read_json(file)
        if not is_dump(content):
            raise BadInput(
                f"{file} is no registry of Feast: write it with `feast registry-dump > {file.name}`"
            )
        read_dump(content, found)
    read_python(python, found)
    if not found.entities and not found.views:
        raise BadInput(
            f"{', '.join(map(str, files))}: no entity and no feature view of Feast is defined there"
        )
    return convert(found, primary=primary, events=events, amount=amount, name=files[0].resolve().stem)


def _of_aws(files: list[Path], event_type: str, label: list[str] | None, outcome: list[str] | None) -> Any:
    from jobs.schema.aws import convert  # noqa: PLC0415
    from jobs.schema.export import read_export  # noqa: PLC0415

    labels = _pairs(label, "--label", ("fraud", "honest", "unknown"))
    outcomes = _pairs(outcome, "--outcome", ("decline", "review", "approve"))
    return convert(read_export(files), event_type, labels=labels, outcomes=outcomes)


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
