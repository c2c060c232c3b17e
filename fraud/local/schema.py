"""Gives the platform on this machine, which does not run, another schema; ``roll`` does so while it runs."""

import os
from pathlib import Path
from typing import Final

from fraud.errors import BadInput
from fraud.local import platform
from fraud.local.parts import TABLE, PartTable
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from fraud.runtime.files import write_durably
from fraud.schema.deployed import FILE, RATES_FILE, RATES_VARIABLE, has_run
from fraud.schema.diff import Effect, compare, steps_when_stopped
from fraud.schema.reading import read_schema

_ENDED = {State.STOPPED, State.CRASHED}

FIRST: Final = "`fraud up broker mlflow`, `fraud train --transactions TABLE`, `fraud up`: a first model"
"""What a platform needs that has not run yet."""


def use_schema(settings: LocalSettings, file: Path, table: PartTable = TABLE) -> list[str]:
    """Copy a schema into the platform's home.

    Parameters
    ----------
    settings
        Only the home folder matters.
    file
        The schema's file.

    Returns
    -------
    list of str
        What was done, and what to run next, a line each.

    Raises
    ------
    BadConfig
        When the schema is wrong.
    BadInput
        When the platform's tables cannot go on with it, or the platform runs with another one.
    """
    new, home = read_schema(file), settings.home_path
    own = home / FILE
    changes = compare(read_schema(own if own.exists() else None), new) if has_run(home) else []
    if words := "; ".join(change.what for change in changes if change.effect is Effect.REFUSED):
        raise BadInput(f"{words}: the tables in {home} do not fit it; use another home (--home)")
    running = _running(settings, table) if changes else ""
    if running:
        words = "; ".join(change.what for change in changes)
        raise BadInput(
            f"the platform in {home} runs ({running}) with another schema ({words}). "
            f"`fraud roll {file}` changes it while it decides; or run `fraud down` first"
        )
    home.mkdir(parents=True, exist_ok=True)
    write_durably(own, file.read_bytes())
    steps = steps_when_stopped(changes) if has_run(home) else [FIRST]
    if new.money and not (home / RATES_FILE).exists() and not os.environ.get(RATES_VARIABLE):
        words = f"reference rates to {new.money.base}, without which other currencies are refused"
        steps.insert(0, f"`fraud rates check FILE`, `cp FILE {home / RATES_FILE}`: {words}")
    return [f"{own}: version {new.version}; the next `fraud up` runs with it", *steps]


def _running(settings: LocalSettings, table: PartTable) -> str:
    """Name the parts that run."""
    return ", ".join(part.name for part in platform.status(settings, table) if part.state not in _ENDED)
