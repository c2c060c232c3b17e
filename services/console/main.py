"""Entry of the console: ``python -m services.console.main``."""

import sys

import uvicorn

from fraud.errors import FraudError
from fraud.http.server import Bounds, bounded
from fraud.runtime.telemetry import configure_logging
from fraud.schema.deployed import deployed_schema
from services.console.app import Console
from services.console.rule_pages import MOST_RULES
from services.console.settings import ConsoleSettings

ANSWER_S = 10.0
"""How long a page may leave what it is sent unread, seconds."""


def main() -> None:
    """Read the settings and serve until told to end."""
    configure_logging()
    try:
        settings = ConsoleSettings()
        console = Console(settings, schema=deployed_schema())
    except FraudError as error:
        sys.exit(f"error: {error}")
    uvicorn.run(
        console.app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        ws="none",
        http=bounded(Bounds(message_bytes=MOST_RULES, answer_s=ANSWER_S)),
        proxy_headers=False,  # whoever calls from this machine could name any address
        timeout_graceful_shutdown=2,  # pages that follow live never end by themselves
    )


if __name__ == "__main__":
    main()
