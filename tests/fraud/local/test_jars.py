"""The jars: where they come from, and what is said when they cannot be had."""

import os
import ssl
import subprocess
import threading

import pytest

from fraud.errors import BadConfig, Unavailable
from fraud.local import jars, trust
from fraud.local.java import java_home


class Resolver:
    def __init__(self):
        self.calls = []

    def __call__(self, packages, ivy, _tell):
        self.calls.append(tuple(packages))
        (ivy / "jars").mkdir()
        for name in ("a.group_some-thing_2.13-1.0.jar", "com.x_jackson-core-2.13.5.jar", "org.y_z-1.jar"):
            (ivy / "jars" / name).write_text("jar")


@pytest.fixture
def fake_resolver(monkeypatch, tmp_path):
    """A resolver that writes three jars, and keeps the list of its calls."""
    monkeypatch.delenv("FRAUD_JARS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    return Resolver()


def test_jars_are_resolved_once_and_kept(fake_resolver):
    first = jars.spark_jars(lambda _text: None, fake_resolver)
    assert jars.spark_jars(lambda _text: pytest.fail("nothing is left to tell"), fake_resolver) == first
    assert len(fake_resolver.calls) == 1


def test_jars_that_spark_brings_are_left_out_of_its_class_path_alone(fake_resolver):
    names = {jar.name for jar in jars.spark_jars(lambda _text: None, fake_resolver)}
    assert names == {"a.group_some-thing_2.13-1.0.jar", "org.y_z-1.jar"}
    classpath = jars.broker_classpath(lambda _text: None, fake_resolver).split(os.pathsep)
    assert {path.rsplit("/")[-1].split("-2")[0] for path in classpath} >= {
        "com.x_jackson-core",
        "scala-library",
    }
    assert len(fake_resolver.calls) == 2


def test_callers_at_once_resolve_once_and_get_the_same(fake_resolver):
    found = []
    callers = [
        threading.Thread(target=lambda: found.append(jars.spark_jars(lambda _t: None, fake_resolver)))
        for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(fake_resolver.calls) == 1
    assert len(found) == 8
    assert all(each == found[0] for each in found)


def test_a_failed_resolution_leaves_nothing_that_passes_for_jars(fake_resolver):
    def fail(_packages, _ivy, _tell):
        raise Unavailable("no network")

    with pytest.raises(Unavailable):
        jars.spark_jars(lambda _text: None, fail)
    assert jars.spark_jars(lambda _text: None, fake_resolver)


def test_an_unknown_package_is_unavailable_with_the_resolver_s_words(tmp_path):
    (tmp_path / "ivy").mkdir()
    with pytest.raises(Unavailable, match=r"not:a-coordinate could not be fetched: .*coordinate"):
        jars._resolve(("not:a-coordinate",), tmp_path / "ivy", lambda _text: None)


def test_a_given_folder_is_used_as_it_is(monkeypatch, tmp_path):
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "x.jar").touch()
    monkeypatch.setenv("FRAUD_JARS", str(tmp_path))
    assert jars.spark_jars() == [tmp_path / "spark" / "x.jar"]
    with pytest.raises(BadConfig, match=r"FRAUD_JARS is .* holds no jars"):
        jars.broker_classpath()


@pytest.mark.parametrize(
    ("jar", "artifact"),
    [
        ("jackson-core-2.21.2.jar", "jackson-core"),
        ("spark-sql-kafka-0-10_2.13-4.2.0.jar", "spark-sql-kafka-0-10_2.13"),
        ("zstd-jni-1.5.7-7.jar", "zstd-jni"),
        ("delta-spark_4.2_2.13-4.4.0.jar", "delta-spark_4.2_2.13"),
    ],
)
def test_a_jar_s_name_is_cut_before_its_version(jar, artifact):
    assert jars._artifact(jar) == artifact


def test_java_reads_the_trust_store_that_holds_what_python_trusts(tmp_path):
    count = trust.write_trust_store(tmp_path / "trusted.p12")
    assert count == len(trust.trusted()) >= len(ssl.create_default_context().get_ca_certs())
    keytool = java_home() / "bin" / "keytool"
    if not count or not keytool.exists():
        pytest.skip("no certificates, or a Java without keytool")
    command = [keytool, "-list", "-keystore", tmp_path / "trusted.p12", "-storepass", trust.PASSWORD]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"contains {count} entries" in listed
