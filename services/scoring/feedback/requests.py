"""Common parts of requests about an earlier transaction: labels and results."""

from typing import Annotated, Any, Final

from pydantic import Field

from services.scoring.feedback.lookup import KEYS, PRIMARY

Detail = Annotated[str, Field(min_length=1, max_length=27)]
SOURCE: Final = "api:"
"""Before the client's name, in a label's source; the console's labels begin with another word."""


def check_keys(request: Any) -> None:
    """Refuse keys of a transaction that lack the primary entity's.

    Raises
    ------
    ValueError
        Says what to send.
    """
    if getattr(request, PRIMARY) is None and any(getattr(request, name) is not None for name in KEYS):
        raise ValueError(f"give the {PRIMARY} of the transaction too, or none of its keys")
