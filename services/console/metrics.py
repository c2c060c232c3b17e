"""What the console counts, on ``GET /metrics``; no ids, no names of people."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from fraud.runtime.telemetry import LATENCY_BUCKETS_S

REQUESTS: Final = Counter("fraud_console_requests_total", "Requests by page.", ["page", "status"])
SECONDS: Final = Histogram(
    "fraud_console_request_seconds", "Response time by page.", ["page"], buckets=LATENCY_BUCKETS_S
)
LABELS: Final = Counter("fraud_console_labels_total", "Labels given by analysts.", ["label"])
FAILED_LABELS: Final = Counter(
    "fraud_console_failed_labels_total", "Labels of analysts that Kafka did not accept."
)
DECISIONS: Final = Counter("fraud_console_decisions_total", "Decisions read from Kafka.")
OPEN: Final = Gauge("fraud_console_open_alerts", "Alerts without a label.")
VIEWERS: Final = Gauge("fraud_console_viewers", "Open pages with live updates.")
IS_LIVE: Final = Gauge("fraud_console_is_live", "1 if Kafka answers, else 0.")
