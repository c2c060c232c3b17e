"""Settings of a command: what was given on the command line, the rest from the environment."""

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from fraud.errors import BadConfig

S = TypeVar("S", bound=BaseSettings)


def given(**values: Any) -> dict[str, Any]:
    """Leave out what was not given.

    Examples
    --------
    >>> given(delta=None, draws=0)
    {'draws': 0}
    """
    return {name: value for name, value in values.items() if value is not None}


def read_settings(kind: type[S], what: str, **values: Any) -> S:
    """Take what was given, the rest from the environment.

    Parameters
    ----------
    kind
        The settings.
    what
        Whose they are, for the message.

    Raises
    ------
    BadConfig
        When a value is wrong; names it.
    """
    try:
        return kind(**given(**values))
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False))
        raise BadConfig(f"settings of {what}: {wrong}") from error
