"""Compacts every Delta table of the platform, one after the other."""

import logging
from collections.abc import Iterator
from typing import Final

from fraud.settings.stream import LakeSettings
from jobs.compact.compact import Compacted, compact
from jobs.compact.settings import CompactSettings

TABLES: Final = (
    *("transactions", "features", "decisions", "labels", "results", "profiles"),
    *("dead_letters", "figures"),
)
_log = logging.getLogger("jobs.compact")


def run(settings: CompactSettings, delta: str = "") -> Iterator[Compacted]:
    """Compact every table that is there, one after the other."""
    stream = LakeSettings()
    for table in TABLES:
        done = compact(delta or stream.delta_path, table, settings, stream.delta_options)
        if done is not None:
            yield done
