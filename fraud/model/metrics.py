"""What every program that follows a model in the registry counts, on its ``GET /metrics``."""

from typing import Final

from prometheus_client import Counter, Gauge

MODEL_CREATED: Final = Gauge(
    "fraud_predictor_model_created_timestamp_seconds",
    "When the model in use was registered, Unix time, by its alias",
    ["model"],
)
REFUSED_MODELS: Final = Counter(
    "fraud_predictor_refused_models_total", "Model versions that do not fit this build"
)
REGISTRY_ERRORS: Final = Counter(
    "fraud_predictor_registry_errors_total", "Failed attempts to reach the model registry"
)
