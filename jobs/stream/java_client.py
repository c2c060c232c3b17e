"""One set of Kafka options for two clients: the setting speaks librdkafka, Spark's source speaks Java."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILES: Final = frozenset({"ssl.ca.location", "ssl.certificate.location", "ssl.key.location"})
_LOGIN: Final = frozenset({"sasl.username", "sasl.password", "sasl.mechanisms"})


def java_options(options: Mapping[str, str]) -> dict[str, str]:
    """Translate what encrypts and identifies; other options have one name in both clients.

    Parameters
    ----------
    options
        Under librdkafka's names; certificates and key as PEM files, the key as PKCS #8.

    Examples
    --------
    >>> java_options({"security.protocol": "SSL", "ssl.ca.location": "/etc/kafka/ca.crt"})
    {'security.protocol': 'SSL', 'ssl.truststore.type': 'PEM', 'ssl.truststore.location': '/etc/kafka/ca.crt'}
    """
    translated = {name: value for name, value in options.items() if name not in _FILES | _LOGIN}
    if "ssl.ca.location" in options:
        translated["ssl.truststore.type"] = "PEM"
        translated["ssl.truststore.location"] = options["ssl.ca.location"]
    if "ssl.certificate.location" in options:
        # Java wants both in one file; given as text, they may stay the two files of a Secret.
        translated["ssl.keystore.type"] = "PEM"
        translated["ssl.keystore.certificate.chain"] = _text(options["ssl.certificate.location"])
        translated["ssl.keystore.key"] = _text(options["ssl.key.location"])
    mechanism = options.get("sasl.mechanisms", options.get("sasl.mechanism"))
    if mechanism is not None:
        translated["sasl.mechanism"] = mechanism
    if "sasl.username" in options:
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        user, password = (_quoted(options[name]) for name in ("sasl.username", "sasl.password"))
        translated["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required username={user} password={password};"
        )
    return translated


def _text(file: str) -> str:
    return Path(file).read_text(encoding="ascii")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
