"""Entry of the compaction job: ``python -m jobs.compact.main``; settings from ``FRAUD_COMPACT_*``."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from fraud.errors import FraudError
from fraud.settings.stream import LakeSettings
from jobs.compact.compact import Compacted, compact
from jobs.compact.settings import CompactSettings

TABLES: Final = ("transactions", "features", "decisions", "labels", "dead_letters", "figures")
_log = logging.getLogger("jobs.compact")


def run(settings: CompactSettings, delta: str = "") -> Iterator[Compacted]:
    """Compact every table that is there, one after the other."""
    stream = LakeSettings()
    for table in TABLES:
        done = compact(delta or stream.delta_path, table, settings, stream.delta_options)
        if done is not None:
            yield done


def main() -> int:
    """Compact, and write a line of JSON a table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        for done in run(CompactSettings()):
            sys.stdout.write(json.dumps(asdict(done)) + "\n")
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
