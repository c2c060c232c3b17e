"""The cluster that this process runs in, or that KUBECONFIG names."""

from pathlib import Path
from typing import Final

from kubernetes import config

from fraud.errors import BadConfig

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
        raise BadConfig(f"no cluster: {error}") from error
    own = _NAMESPACE.read_text(encoding="utf-8").strip() if _NAMESPACE.exists() else "fraud"
    return namespace or own
