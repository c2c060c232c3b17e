"""What the console counts, on ``GET /metrics``; no ids, no names of people."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from fraud.runtime.telemetry import LATENCY_BUCKETS_S

REQUESTS: Final = Counter("fraud_console_requests_total", "Requests by page.", ["page", "status"])
SECONDS: Final = Histogram(
    "fraud_console_request_seconds", "Time of a page.", ["page"], buckets=LATENCY_BUCKETS_S
)
VERDICTS: Final = Counter("fraud_console_verdicts_total", "Verdicts given by people.", ["verdict"])
FAILED_VERDICTS: Final = Counter("fraud_console_failed_verdicts_total", "Verdicts that Kafka did not take.")
DECISIONS: Final = Counter("fraud_console_decisions_total", "Decisions followed.")
OPEN: Final = Gauge("fraud_console_open_alerts", "Alerts held that nobody has judged yet.")
VIEWERS: Final = Gauge("fraud_console_viewers", "Pages that follow live.")
IS_LIVE: Final = Gauge("fraud_console_is_live", "1 while Kafka answers.")
