"""The page of the commands: what ``fraud COMMAND --help`` says, of all commands."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import click
import typer

from fraud.tools.docs.markdown import code, table

__all__ = ["commands", "page"]


def commands() -> Iterator[tuple[str, click.Command]]:
    """List every command with its whole name, e.g. ``features build``, families' members too."""
    (installed,) = entry_points(group="console_scripts", name="fraud")
    group: Any = typer.main.get_command(installed.load())
    context = click.Context(group)
    for name in group.list_commands(context):
        yield from _members(name, group.get_command(context, name))


def _members(name: str, command: Any) -> Iterator[tuple[str, click.Command]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, member in command.commands.items():
        yield from _members(f"{name} {part}", member)


def page() -> str:
    """Write the page."""
    parts = ["# Commands\nGenerated from the commands' own help.\n"]
    for name, command in commands():
        parts.append(f"## fraud {name}\n{_paragraphs(command.help or '')}\n")
        rows = [_row(one) for one in command.params if not getattr(one, "hidden", False)]
        parts.append(table(["option", "default", "meaning"], rows) if rows else "")
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    """Show what the help shows as it stands (after a backspace) as it stands."""
    found = text.split("\n\n")
    return "\n\n".join(
        "```\n" + one.removeprefix("\b\n") + "\n```" if one.startswith("\b") else one for one in found
    )


def _row(option: Any) -> tuple[str, str, str]:
    is_argument = isinstance(option, click.Argument) or option.param_type_name == "argument"
    names = option.name.upper() if is_argument else ", ".join([*option.opts, *option.secondary_opts])
    default = option.default
    shown = "required" if option.required else "" if default is None or callable(default) else code(default)
    return code(names), shown, getattr(option, "help", None) or ""
