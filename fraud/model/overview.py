"""What the model registry says, over MLflow's REST interface: aliases, versions and their metrics."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from fraud.errors import Unavailable

TIMEOUT_S: Final = 3.0
ALIASES: Final = ("champion", "challenger", "previous")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version that an alias names."""

    alias: str
    version: str
    created_at: datetime
    tags: dict[str, str]
    metrics: dict[str, float]


class Registry:
    """Reads the registry.

    Parameters
    ----------
    uri
        Address of MLflow.
    name
        Of the model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._http = httpx.Client(base_url=uri, timeout=TIMEOUT_S, trust_env=False)
        self._name = name

    def versions(self) -> list[ModelVersion]:
        """List what the aliases name.

        Raises
        ------
        Unavailable
            When the registry does not answer.
        """
        found = [self._version(alias) for alias in ALIASES]
        return [one for one in found if one is not None]

    def _version(self, alias: str) -> ModelVersion | None:
        answer = self._get("registered-models/alias", name=self._name, alias=alias)
        if answer is None:
            return None
        version = answer["model_version"]
        run = self._get("runs/get", run_id=version["run_id"]) if version.get("run_id") else None
        metrics = (run or {}).get("run", {}).get("data", {}).get("metrics", [])
        return ModelVersion(
            alias=alias,
            version=str(version["version"]),
            created_at=datetime.fromtimestamp(int(version["creation_timestamp"]) / 1e3, UTC),
            tags={tag["key"]: tag["value"] for tag in version.get("tags", [])},
            metrics={one["key"]: float(one["value"]) for one in metrics},
        )

    def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        try:
            answer = self._http.get(f"/api/2.0/mlflow/{path}", params=query)
            content: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the model registry does not answer: {error}") from error
        if answer.is_success:
            return content
        if content.get("error_code") in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise Unavailable(f"the model registry answers {answer.status_code}")
