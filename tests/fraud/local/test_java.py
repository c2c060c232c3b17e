"""The Java that is found, and the script that starts a Java which lacks a module."""

import os
import subprocess
from pathlib import Path

import pytest

from fraud.errors import BadConfig
from fraud.local import java
from fraud.local.java import java_home

ECHO = '#!/bin/sh\nfor argument in "$@"; do printf "%s\\n" "$argument"; done\n'


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    java_home.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    yield
    java_home.cache_clear()


@pytest.fixture
def shim(tmp_path):
    """The script over a program that prints its arguments, one a line; its folder has a name to trip over."""
    echo = tmp_path / "it's a folder" / "java"
    echo.parent.mkdir()
    echo.write_text(ECHO)
    echo.chmod(0o755)
    return java._shim(echo) / "bin" / "java"


def _java(folder: Path, version: str, *, has_module: bool = True) -> Path:
    """A Java home whose java says which version it is."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    refusal = "" if has_module else 'case "$*" in *--add-modules*) exit 1 ;; esac\n'
    program.write_text(
        f"#!/bin/sh\n{refusal}echo '    java.specification.version = {version}' >&2\n"
        f"echo '    java.home = {folder}' >&2\n"
    )
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], []),
        (["--add-modules=jdk.incubator.vector", "-version"], ["-version"]),
        (["--add-modules", "jdk.incubator.vector", "-version"], ["-version"]),
        (["--add-modules=jdk.incubator.vector,java.sql"], ["--add-modules=java.sql"]),
        (["--add-modules", "java.sql,jdk.incubator.vector,java.xml"], ["--add-modules=java.sql,java.xml"]),
        (["--add-modules=java.sql"], ["--add-modules=java.sql"]),
        (["-cp", "a b:c", "-Xmx1g", "-Dx=1 2", "Main"], ["-cp", "a b:c", "-Xmx1g", "-Dx=1 2", "Main"]),
        (
            ["-cp", "--add-modules=jdk.incubator.vector", "M"],
            ["-cp", "--add-modules=jdk.incubator.vector", "M"],
        ),
        (
            ["--add-modules=jdk.incubator.vector", "Main", "--add-modules=jdk.incubator.vector", "", "*"],
            ["Main", "--add-modules=jdk.incubator.vector", "", "*"],
        ),
        (["-jar", "x.jar", "--add-modules", "jdk.incubator.vector"],) * 2,
        (["--add-opens", "java.base/java.lang=ALL-UNNAMED", "Main"],) * 2,
    ],
)
def test_the_script_drops_the_module_alone_and_passes_all_else_unchanged(shim, given, passed):
    printed = subprocess.run([shim, *given], capture_output=True, text=True, check=True).stdout
    assert printed == "".join(f"{argument}\n" for argument in passed)


def test_the_script_is_made_once(shim, tmp_path):
    made_at = shim.stat().st_mtime_ns
    assert java._shim(tmp_path / "it's a folder" / "java") / "bin" / "java" == shim
    assert shim.stat().st_mtime_ns == made_at
    assert [entry.name for entry in shim.parents[2].iterdir()] == [shim.parents[1].name]


def test_the_packaged_java_starts_with_the_options_that_spark_gives():
    packaged = java._packaged_java()
    assert packaged is not None
    options = ["--add-modules=jdk.incubator.vector", "-version"]
    assert subprocess.run([packaged, *options], capture_output=True, check=False).returncode != 0
    started = subprocess.run(
        [java._shim(packaged) / "bin" / "java", *options], capture_output=True, text=True, check=True
    )
    assert 'version "21' in started.stderr


@pytest.mark.parametrize("version", ["17", "21"])
def test_java_home_comes_first(monkeypatch, tmp_path, version):
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "own java", version)))
    assert java_home() == tmp_path / "own java"


def test_java_on_the_path_comes_when_java_home_is_too_old(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "old", "11")))
    monkeypatch.setenv("PATH", f"{_java(tmp_path / 'on path', '17') / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert java_home() == tmp_path / "on path"


def test_a_java_that_lacks_the_module_gives_way_to_the_packaged_one(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "cut down", "21", has_module=False)))
    monkeypatch.setenv("PATH", "/nowhere")
    assert java.is_packaged(java_home())


def test_no_usable_java_is_a_bad_config_that_says_what_was_found(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "old", "11")))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadConfig, match=r"need Java 17 or 21: JAVA_HOME \(.*old\) is Java 11\. Install one"):
        java.find_java(None)
