"""Settings of the programs: from the environment, or given; what is wrong is said in words."""

from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from fraud.errors import BadConfig


class Settings(BaseSettings):
    """Fields that the environment fills under ``env_prefix``.

    Raises
    ------
    BadConfig
        When a value is wrong or missing; names each with its variable, and no value: it may be a secret.
    """

    def __init__(self, **values: Any) -> None:
        prefix = self.model_config.get("env_prefix", "")
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
