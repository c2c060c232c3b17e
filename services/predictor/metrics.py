"""What the model server counts, on ``GET /metrics``."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_FAST_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

REQUEST_SECONDS: Final = Histogram(
    "fraud_predictor_request_seconds",
    "From the request's body to the answer's body",
    buckets=_FAST_SECONDS,
)
ROWS: Final = Counter("fraud_predictor_rows_total", "Rows scored")
REASON_ROWS: Final = Counter("fraud_predictor_reason_rows_total", "Rows explained")
REFUSED_REQUESTS: Final = Counter("fraud_predictor_refused_requests_total", "Requests refused", ["reason"])
MODEL_INFO: Final = Gauge(
    "fraud_predictor_model_info", "1 for the model being served", ["model", "version", "features_version"]
)

SCORE_BINS: Final = 20
"""Equal bins of the probability."""
ANSWER_SECONDS: Final = Histogram(
    "fraud_predictor_answer_seconds", "Scoring of one request, by version", ["version"], buckets=_FAST_SECONDS
)
FAILURES: Final = Counter(
    "fraud_predictor_failures_total", "Requests that a version was given and did not answer", ["version"]
)
SCORED_ROWS: Final = Counter("fraud_predictor_scored_rows_total", "Rows scored, by version", ["version"])
FLAGGED_ROWS: Final = Counter(
    "fraud_predictor_flagged_rows_total", "Rows at or above their version's review threshold", ["version"]
)
SCORES: Final = Counter(
    "fraud_predictor_scores_total", "Rows by version and by bin of the probability", ["version", "bin"]
)
CANARY_INFO: Final = Gauge("fraud_predictor_canary_info", "1 for the address of the canary", ["url"])
CANARY_PERCENT: Final = Gauge(
    "fraud_predictor_canary_percent", "Share of the requests that is sent to a canary"
)
