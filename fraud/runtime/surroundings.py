"""What a program's environment must say before our parts can speak to each other and name their files.

Changes ``NO_PROXY``, ``no_proxy`` and ``LC_ALL`` of an environment.
"""

import os
import sys
from collections.abc import MutableMapping
from typing import Final

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def settle(environment: MutableMapping[str, str], *hosts: str) -> None:
    """Exempt our own addresses from proxies, and give file names an encoding that has all characters.

    Downloads still go through a proxy. Java encodes the names of files by the locale, so that in the locale
    ``C`` it cannot open a folder whose name is not plain ASCII.

    Parameters
    ----------
    environment
        Of this process (``os.environ``), or of one that will be started.
    hosts
        Further addresses of our own.

    Examples
    --------
    >>> environment = {"NO_PROXY": "intern.example", "LANG": "en_US.UTF-8"}
    >>> settle(environment)
    >>> environment["no_proxy"]
    'intern.example,127.0.0.1,localhost,::1'
    """
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if listed.strip() != "*":
        names = dict.fromkeys(name.strip() for name in listed.split(",") if name.strip())
        listed = ",".join({**names, **dict.fromkeys((*LOOPBACK, *hosts))})
    environment["no_proxy"] = environment["NO_PROXY"] = listed
    chosen = next(
        (environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "C"
    )
    if sys.platform == "linux" and "utf" not in chosen.lower():
        environment["LC_ALL"] = "C.UTF-8"


def settle_own() -> None:
    """Do so for this process and all that it starts."""
    settle(os.environ)
