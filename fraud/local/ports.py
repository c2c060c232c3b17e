"""Ports: choose free ones, and say which setting to change when one is taken."""

import errno
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final

from fraud.errors import BadConfig

_IN_USE: Final = "is in use by another program"


def check_ports(host: str, wanted: Iterable[tuple[str, int, str]]) -> None:
    """Make sure that ports can be listened on.

    Parameters
    ----------
    host
        Address to listen on.
    wanted
        For each port what wants it, its number, and the environment variable that changes it.

    Raises
    ------
    BadConfig
        For the first one that is taken or wanted twice; change the setting that it names.
    """
    owners: dict[int, str] = {}
    for part, port, variable in wanted:
        if port in owners:
            raise BadConfig(
                f"port {port} is wanted by {owners[port]} and by {part}; set {variable} to another"
            )
        owners[port] = part
        fault = _fault(host, port)
        if fault:
            raise BadConfig(f"port {port}, which {part} wants, {fault}; free it or set {variable} to another")


def choose_ports(host: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """Put a free port, each another one, instead of every 0.

    Parameters
    ----------
    host
        Address to listen on.
    wanted
        Name: port or 0.
    """
    with ExitStack() as held:
        chosen = {}
        for name, port in wanted.items():
            if port:
                chosen[name] = port
                continue
            listener = held.enter_context(socket.socket())
            listener.bind((host, 0))
            chosen[name] = int(listener.getsockname()[1])
        return chosen


def is_free(host: str, port: int) -> bool:
    """Whether a port can be listened on."""
    return _fault(host, port) is None


def _fault(host: str, port: int) -> str | None:
    for address in (host, ""):  # some parts listen on every address
        try:
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _IN_USE
            return f"cannot be used ({error.strerror})"
    try:  # macOS lets two programs bind a port, one on every address, one on this one
        with socket.create_connection((host, port), timeout=1.0):
            return _IN_USE
    except OSError:
        return None
