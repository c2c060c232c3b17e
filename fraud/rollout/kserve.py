"""A canary on a cluster: a second InferenceService, made after the champion's own.

KServe splits traffic between revisions on Knative alone; in Standard mode an InferenceService is one
Deployment (DECISIONS.md). Reads and writes InferenceServices, reads pods.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from fraud.errors import BadConfig, Unavailable
from fraud.rollout.settings import RolloutSettings
from fraud.runtime.cluster import answering, connect
from fraud.runtime.waiting import wait_until

KIND: Final = ("serving.kserve.io", "v1beta1")
PLURAL: Final = "inferenceservices"
PORT: Final = 8080
PAUSE_S: Final = 2.0
_NOT_FOUND: Final = 404


class KServe:
    """The champion's InferenceService and the canary's, see :class:`fraud.rollout.places.Place`.

    Parameters
    ----------
    settings
        Which service, in which namespace.
    api
        Client of the cluster's API; default: that of :func:`fraud.runtime.cluster.connect`.

    Raises
    ------
    BadConfig
        When there is no cluster to speak to.
    """

    def __init__(self, settings: RolloutSettings, api: client.ApiClient | None = None) -> None:
        self._settings = settings
        self._namespace = settings.namespace if api else connect(settings.namespace)
        self._services = client.CustomObjectsApi(api)
        self._pods = client.CoreV1Api(api)

    def servers(self) -> list[str]:
        """See :class:`fraud.rollout.places.Place`."""
        found = self._addresses(self._settings.service)
        if not found:
            raise Unavailable(f"no pod of InferenceService {self._settings.service} is ready")
        return found

    @contextmanager
    def canary(self, version: str) -> Iterator[None]:
        """See :class:`fraud.rollout.places.Place`."""
        name = f"{self._settings.service}-canary"
        champion = self._get(self._settings.service)
        if champion is None:
            raise BadConfig(f"there is no InferenceService {self._settings.service} in {self._namespace}")
        self._delete(name)
        body = derive(champion, name, f"models:/{self._settings.model_name}/{version}")
        with answering(f"cannot create InferenceService {name}"):
            self._services.create_namespaced_custom_object(*KIND, self._namespace, PLURAL, body)
        try:
            self._wait(lambda: self._is_ready(name), f"InferenceService {name} is ready")
            yield
        finally:
            self._delete(name)

    def _is_ready(self, name: str) -> bool:
        found = self._get(name)
        conditions = (found or {}).get("status", {}).get("conditions", [])
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        return ready and bool(self._addresses(name))

    def _addresses(self, name: str) -> list[str]:
        selector = f"serving.kserve.io/inferenceservice={name},component=predictor"
        with answering(f"the pods of InferenceService {name} cannot be listed"):
            pods: list[Any] = self._pods.list_namespaced_pod(self._namespace, label_selector=selector).items
        return [
            f"http://{pod.status.pod_ip}:{PORT}"
            for pod in pods
            if pod.metadata.deletion_timestamp is None
            and any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])
        ]

    def _get(self, name: str) -> dict[str, Any] | None:
        with answering(f"InferenceService {name} cannot be read"):
            try:
                found: Any = self._services.get_namespaced_custom_object(*KIND, self._namespace, PLURAL, name)
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise
        return dict(found)

    def _delete(self, name: str) -> None:
        if self._get(name) is None:
            return
        with answering(f"InferenceService {name} cannot be deleted"):
            self._services.delete_namespaced_custom_object(*KIND, self._namespace, PLURAL, name)
        self._wait(lambda: self._get(name) is None, f"InferenceService {name} is gone")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        if not wait_until(condition, self._settings.ready_s, PAUSE_S):
            raise Unavailable(f"timed out after {self._settings.ready_s:g} s waiting: {what}")


def derive(champion: dict[str, Any], name: str, model: str) -> dict[str, Any]:
    """Make the canary's InferenceService: the champion's model server with one version and one replica."""
    predictor = {**champion["spec"]["predictor"], "minReplicas": 1, "maxReplicas": 1}
    # Written out, or left to a ServingRuntime, whose environment the model's own goes over.
    container, *others = [predictor["model"]] if "model" in predictor else predictor["containers"]
    own = {
        "FRAUD_PREDICTOR_MODEL": model,
        "FRAUD_PREDICTOR_CANARY_URL": "",
        "FRAUD_PREDICTOR_CHALLENGER": "",
    }
    environment = [one for one in container.get("env", []) if one["name"] not in own]
    environment += [{"name": key, "value": value} for key, value in own.items()]
    container = {**container, "env": environment}
    predictor |= {"model": container} if "model" in predictor else {"containers": [container, *others]}
    metadata = champion["metadata"]
    kept = {key: dict(metadata.get(key) or {}) for key in ("labels", "annotations")}
    kept["labels"].pop("app.kubernetes.io/managed-by", None)  # Helm must not take it for its own
    kept["annotations"] = {
        key: value
        for key, value in kept["annotations"].items()
        if "helm.sh" not in key and "kubectl" not in key
    }
    return {
        "apiVersion": "/".join(KIND),
        "kind": "InferenceService",
        "metadata": {"name": name, **kept},
        "spec": {"predictor": predictor},
    }
