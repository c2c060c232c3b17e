"""Let Java trust the certificates that this machine trusts, e.g. those of a company's proxy.

A Java that comes as a package brings its own list, which knows nothing of them.
"""

import hashlib
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

PASSWORD: Final = "changeit"  # noqa: S105  Java's default; it protects nothing, the certificates are public
_MAGIC: Final = 0xFEEDFEED
_SALT: Final = b"Mighty Aphrodite"


def write_trust_store(file: Path) -> int:
    """Write the certificates that Python trusts by default as a Java key store (format JKS, version 2).

    Parameters
    ----------
    file
        Goes to ``-Djavax.net.ssl.trustStore``; not written when there is no certificate.

    Returns
    -------
    int
        How many certificates there are.
    """
    certificates = _trusted()
    if certificates:
        file.write_bytes(_key_store(certificates))
    return len(certificates)


def _trusted() -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    folder = ssl.get_default_verify_paths().capath
    for file in (
        sorted(Path(folder).glob("*.0")) if folder else ()
    ):  # OpenSSL reads these one by one, on demand
        with suppress(ssl.SSLError, OSError):
            context.load_verify_locations(file)
    return context.get_ca_certs(binary_form=True)


def _key_store(certificates: list[bytes]) -> bytes:
    body = struct.pack(">III", _MAGIC, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        alias = f"machine-{number}"
        body += struct.pack(">I", 2) + _text(alias) + struct.pack(">Q", 0)
        body += _text("X.509") + struct.pack(">I", len(certificate)) + certificate
    return body + hashlib.sha1(PASSWORD.encode("utf-16-be") + _SALT + body, usedforsecurity=False).digest()


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
