"""Every part of the embedded platform listens on loopback alone."""

import json

import psutil
import pytest

from fraud.local import platform, process
from fraud.local.process import ProcessRecord
from tests.flow.conftest import Parts

pytestmark = pytest.mark.flow


def listeners(record: ProcessRecord) -> list[str]:
    """Addresses that a part and all that it has started listen on, IPv4 as such."""
    found = [psutil.Process(record.pid), *process.family_of(record)]
    return [
        socket.laddr.ip.removeprefix("::ffff:")
        for one in found
        for socket in one.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    ]


def test_every_listener_of_every_part_is_on_loopback(parts: Parts) -> None:
    home = parts.settings.home_path
    platform.up(parts.settings)
    records = {file.stem: process.load(file) for file in (home / "run").glob("*.json")}
    assert set(records) == set(platform.PART_NAMES)
    found = {name: listeners(record) for name, record in records.items() if record}
    assert all(found.values()), f"each part listens somewhere: {json.dumps(found)}"
    assert {address for addresses in found.values() for address in addresses} <= {"127.0.0.1", "::1"}, found
