"""The cluster that this process runs in, or that KUBECONFIG names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kubernetes import config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from fraud.errors import BadConfig, Unavailable

_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(namespace: str = "") -> str:
    """Set the client up, and tell the namespace: the given one, that of our own pod, or ``fraud``.

    Raises
    ------
    BadConfig
        When there is no cluster to speak to.
    """
    try:
        config.load_config()  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise BadConfig(f"no Kubernetes cluster found: {error}") from error
    own = _NAMESPACE.read_text(encoding="utf-8").strip() if _NAMESPACE.exists() else "fraud"
    return namespace or own


@contextmanager
def answering(otherwise: str) -> Iterator[None]:
    """Turn what the API server refuses, and that it is not reached, into ``Unavailable`` with these words."""
    try:
        yield
    except ApiException as error:
        raise Unavailable(f"{otherwise}: {error.reason}") from error
    except HTTPError as error:
        raise Unavailable(f"{otherwise}: {error}") from error
