"""Let Java trust the certificates that this machine trusts, e.g. those of a company's proxy.

A Java that comes as a package brings its own list, which knows nothing of them.
"""

import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
from cryptography.utils import CryptographyDeprecationWarning

PASSWORD: Final = "changeit"  # noqa: S105  Java's default; it protects nothing, the certificates are public


def write_trust_store(file: Path) -> int:
    """Write the certificates that Python trusts by default as a PKCS#12 trust store of Java.

    Parameters
    ----------
    file
        Goes to ``-Djavax.net.ssl.trustStore``; not written when there is no certificate.

    Returns
    -------
    int
        How many certificates there are.
    """
    certificates = trusted()
    if certificates:
        named = [PKCS12Certificate(one, f"machine-{at}".encode()) for at, one in enumerate(certificates)]
        file.write_bytes(serialize_java_truststore(named, BestAvailableEncryption(PASSWORD.encode())))
    return len(certificates)


def trusted() -> list[x509.Certificate]:
    """Read the certificates that Python trusts by default; what is no certificate is left out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    folder = ssl.get_default_verify_paths().capath
    for file in (
        sorted(Path(folder).glob("*.0")) if folder else ()
    ):  # OpenSSL reads these one by one, on demand
        with suppress(ssl.SSLError, OSError):
            context.load_verify_locations(file)
    found = []
    with warnings.catch_warnings(category=CryptographyDeprecationWarning, action="ignore"):
        for encoded in context.get_ca_certs(binary_form=True):
            with suppress(ValueError):  # older than the rules that cryptography holds certificates to
                found.append(x509.load_der_x509_certificate(encoded))
    return found
