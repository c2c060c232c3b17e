"""The one setting of Kafka options reaches Spark's Java client whole."""

from pathlib import Path

from jobs.stream.java_client import java_options


def test_options_that_both_clients_know_pass_unchanged() -> None:
    assert java_options({"client.id": "a", "security.protocol": "SSL"}) == {
        "client.id": "a",
        "security.protocol": "SSL",
    }


def test_certificate_and_key_travel_as_text_and_no_file_of_them_is_named(tmp_path: Path) -> None:
    certificate, key = tmp_path / "user.crt", tmp_path / "user.key"
    certificate.write_text("CERTIFICATE")
    key.write_text("KEY")
    options = {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}
    assert java_options(options) == {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": "CERTIFICATE",
        "ssl.keystore.key": "KEY",
    }


def test_a_password_cannot_end_its_quotes() -> None:
    found = java_options(
        {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": 'a" b="c\\'}
    )
    assert found["sasl.mechanism"] == "SCRAM-SHA-512"
    assert found["sasl.jaas.config"].endswith('username="u" password="a\\" b=\\"c\\\\";')
    assert "ScramLoginModule" in found["sasl.jaas.config"]
    assert "sasl.password" not in found
