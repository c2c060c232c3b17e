"""The limit of open files of this process, which all parts inherit."""

import resource
from typing import Final

from fraud.errors import BadConfig

NEEDED: Final = 1_024
"""Spark alone holds 300 jars open."""
_WANTED: Final = 8_192


def raise_open_files() -> None:
    """Raise the limit of open files as far as it may go.

    Raises
    ------
    BadConfig
        When it may not reach ``NEEDED``; raise the hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_endless = hard == resource.RLIM_INFINITY
    if not is_endless and hard < NEEDED:
        raise BadConfig(
            f"at most {hard} files may be open at once here, and the platform needs {NEEDED}; raise the hard "
            f"limit (`ulimit -Hn {_WANTED}`, or the service's LimitNOFILE)"
        )
    wanted = _WANTED if is_endless else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
