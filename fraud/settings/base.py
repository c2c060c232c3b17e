"""Settings of the programs: from the environment, or given; what is wrong is said in words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, SettingsError

from fraud.errors import BadConfig, BadInput, FraudError

_SPECIAL: Final = frozenset('#?%,:;\\*[]{}"')


def _check_folder(folder: Path) -> Path:
    """Refuse what Spark, Delta and the stores would read as part of a URL, of a list or of a pattern."""
    found = sorted({sign for sign in str(folder.expanduser().absolute()) if sign in _SPECIAL or sign < " "})
    if found:
        signs = " ".join(sign if sign >= " " else repr(sign) for sign in found)
        raise ValueError(
            f"the path {str(folder.expanduser().absolute())!r} contains {signs}, which Spark or Delta would "
            "misread; choose a folder without it (spaces and letters of any alphabet are fine)"
        )
    return folder


StateFolder = Annotated[Path, AfterValidator(_check_folder)]
"""A folder whose path is given to every part, Spark among them."""


class Settings(BaseSettings):
    """Fields that the environment fills under ``env_prefix``.

    Raises
    ------
    BadConfig
        When a value is wrong or missing; names each with its variable, and no value: it may be a secret.
    TypeError
        For a class without a prefix, which others are composed of.
    """

    def __init__(self, **values: Any) -> None:
        prefix = self.model_config.get("env_prefix", "")
        if not prefix:  # else it would read variables such as HOME
            raise TypeError(f"{type(self).__name__} has no env_prefix: state one in its own model_config")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadConfig(in_words(error, prefix)) from error
        except SettingsError as error:
            raise BadConfig(f"{prefix}*: {error}; it must be JSON") from error


def in_words(error: ValidationError, prefix: str = "") -> str:
    """Name every setting that is wrong, and why."""
    said = []
    for one in error.errors(include_url=False, include_input=False):
        name = ".".join(map(str, one["loc"])) or "settings"
        variable = f" ({prefix}{str(one['loc'][0]).upper()})" if prefix and one["loc"] else ""
        said.append(f"{name}{variable}: {one['msg']}")
    return "; ".join(said)


def given(**values: Any) -> dict[str, Any]:
    """Leave out what was not given.

    Examples
    --------
    >>> given(delta=None, draws=0)
    {'draws': 0}
    """
    return {name: value for name, value in values.items() if value is not None}


def parse_time(text: str, error: type[FraudError] = BadInput) -> datetime:
    """Read an ISO 8601 time; one without an offset is UTC, a date midnight.

    Raises
    ------
    BadInput
        When it is neither; or ``error``.

    Examples
    --------
    >>> parse_time("2026-03-01").isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise error(f"a time must look like 2026-03-01 or 2026-03-01T00:00:00Z; got {text!r}") from wrong
    return value if value.tzinfo else value.replace(tzinfo=UTC)
