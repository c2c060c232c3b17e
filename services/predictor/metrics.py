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
REFUSED_MODELS: Final = Counter(
    "fraud_predictor_refused_models_total", "Model versions that do not fit this build"
)
REGISTRY_ERRORS: Final = Counter(
    "fraud_predictor_registry_errors_total", "Failed attempts to reach the model registry"
)
