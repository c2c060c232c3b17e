"""A stream on Kubernetes: suspends its SparkApplication, resumes it. Reads pods, writes the object."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from fraud.errors import Unavailable
from fraud.runtime.cluster import answering, connect
from fraud.runtime.waiting import wait_until

KIND: Final = ("sparkoperator.k8s.io", "v1beta2")
PLURAL: Final = "sparkapplications"
MARK: Final = "fraud/suspended-for"
"""Annotation of an application that we have suspended: a second try of a Job resumes it in the end."""
STOP_S: Final = 180.0
"""How long the driver may take to end, seconds: it finishes its micro-batch and archives it."""
_POLL_S: Final = 1.0
_NOT_FOUND: Final = 404
log = logging.getLogger(__name__)


class Application:
    """The SparkApplication of a stream.

    Parameters
    ----------
    name, namespace
        Of the application; the namespace of our own pod by default.
    api
        Client of the cluster's API; default: that of :func:`fraud.runtime.cluster.connect`.
    """

    def __init__(self, name: str, namespace: str = "", api: client.ApiClient | None = None) -> None:
        self._name = name
        self._namespace = namespace if api else connect(namespace)
        self._objects, self._pods = client.CustomObjectsApi(api), client.CoreV1Api(api)

    @contextmanager
    def suspended(self, why: str, stop_s: float = STOP_S, poll_s: float = _POLL_S) -> Iterator[None]:
        """Keep the stream stopped inside the block.

        It continues after the block also where that failed, unless a person had suspended it before: then the
        stream's start says what is wrong with what was left.

        Raises
        ------
        Unavailable
            When the cluster does not answer, or the driver does not end; nothing was run.
        """
        found = self._get()
        if found is None:
            log.warning("there is no SparkApplication %s: nothing is suspended", self._name)
            yield
            return
        is_ours = MARK in (found["metadata"].get("annotations") or {})
        is_suspended = bool(found["spec"].get("suspend"))
        if not is_suspended:
            self._patch(is_suspended=True, why=why)
        try:
            if not wait_until(lambda: not self._has_driver(), stop_s, poll_s):
                raise Unavailable(f"the driver of {self._name} did not end within {stop_s:.0f} s")
            yield
        finally:
            if is_ours or not is_suspended:
                self._patch(is_suspended=False, why=None)

    def _get(self) -> dict[str, Any] | None:
        try:
            with answering(f"the SparkApplication {self._name} cannot be read"):
                found: Any = self._objects.get_namespaced_custom_object(
                    *KIND, self._namespace, PLURAL, self._name
                )
                return dict(found)
        except Unavailable as error:
            if isinstance(error.__cause__, ApiException) and error.__cause__.status == _NOT_FOUND:
                return None
            raise

    def _patch(self, *, is_suspended: bool, why: str | None) -> None:
        body = {"metadata": {"annotations": {MARK: why}}, "spec": {"suspend": is_suspended}}
        with answering(f"the SparkApplication {self._name} cannot be changed"):
            self._objects.patch_namespaced_custom_object(*KIND, self._namespace, PLURAL, self._name, body)

    def _has_driver(self) -> bool:
        labels = f"sparkoperator.k8s.io/app-name={self._name},spark-role=driver"
        with answering("the pods of the stream cannot be listed"):
            found: Any = self._pods.list_namespaced_pod(self._namespace, label_selector=labels).items
        return any(pod.status.phase in {"Pending", "Running", "Unknown"} for pod in found)
