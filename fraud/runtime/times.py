"""Times that people write in commands and files."""

from datetime import datetime

from fraud.errors import BadInput


def read_time(text: str) -> datetime:
    """Read a time with an offset.

    Raises
    ------
    BadInput
        When it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no time; write it like 2026-03-01T12:00:00+00:00") from error
    if moment.tzinfo is None:
        raise BadInput(f"{text!r} has no offset; write it like 2026-03-01T12:00:00+00:00")
    return moment
