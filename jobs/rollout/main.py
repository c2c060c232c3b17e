"""Entry of the rollout job: ``python -m jobs.rollout.main VERSION``; settings from ``FRAUD_ROLLOUT_*``.

Exit code 0: promoted; 3: refused, nothing was tried; 1: taken back, or failed.
"""

import json
import logging
import sys
from dataclasses import asdict
from typing import Final

from fraud.errors import BadInput, FraudError
from jobs.rollout.pipeline import roll_out
from jobs.rollout.places import open_place
from jobs.rollout.settings import RolloutSettings

EXIT: Final = {"promoted": 0, "rolled back": 1, "refused": 3}
_log = logging.getLogger("jobs.rollout")


def main(arguments: list[str]) -> int:
    """Roll a version out, and write the outcome as one line of JSON."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if len(arguments) != 1:
            raise BadInput("usage: python -m jobs.rollout.main VERSION")
        settings = RolloutSettings()
        outcome = roll_out(arguments[0], settings, open_place(settings), _log.info)
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return EXIT[outcome.word]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
