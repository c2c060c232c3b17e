"""Fetch, once, the jars that Spark and the broker need beside those that come with pyspark.

Spark's own resolver downloads them from Maven Central (or ``DEFAULT_ARTIFACT_REPOSITORY``, Spark's name
for a mirror) into the user's cache; after that nothing is asked of the network. ``FRAUD_JARS`` names a
folder with ``spark/*.jar`` and ``broker/*.jar`` to be used instead, as in an image.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console

from fraud.errors import BadConfig, Unavailable
from fraud.local.cache import cache_folder, locked
from fraud.local.java import is_packaged, java_home
from fraud.local.trust import PASSWORD, write_trust_store
from fraud.local.versions import BROKER_PACKAGES, SPARK_PACKAGES

_TIMEOUT_S: Final = 1800.0
_POLL_S: Final = 1.0

Tell = Callable[[str], None]
Resolve = Callable[[Sequence[str], Path, Tell], None]
"""Fetches packages into ``jars`` below a folder."""


def spark_jars(tell: Tell | None = None, resolve: Resolve | None = None) -> list[Path]:
    """Return the jars of the Kafka source and Delta Lake for Spark's class path.

    Jars that pyspark itself brings are left out, so that putting these first changes nothing of Spark.

    Parameters
    ----------
    tell
        Takes words of progress during a download; default: standard error.
    resolve
        Fetches the jars; default: Spark's own resolver.

    Raises
    ------
    Unavailable
        When the download fails; try again when the network is back, or set ``FRAUD_JARS``.
    BadConfig
        When pyspark or Java is not there, or ``FRAUD_JARS`` holds no such jars.
    """
    return _jars("spark", SPARK_PACKAGES, tell or _tell, resolve or _resolve)


def broker_classpath(tell: Tell | None = None, resolve: Resolve | None = None) -> str:
    """Return the class path on which ``kafka.Kafka`` and ``kafka.tools.StorageTool`` run.

    Parameters and errors are those of :func:`spark_jars`.
    """
    jars = _jars("broker", BROKER_PACKAGES, tell or _tell, resolve or _resolve)
    return os.pathsep.join(str(jar) for jar in jars)


def spark_home() -> Path:
    """Return the folder of the installed pyspark, without importing it.

    Raises
    ------
    BadConfig
        When pyspark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise BadConfig("pyspark is not installed; the embedded broker and the streaming job need it")
    return Path(spec.submodule_search_locations[0])


def _jars(name: str, packages: Sequence[str], tell: Tell, resolve: Resolve) -> list[Path]:
    given = os.environ.get("FRAUD_JARS")
    if given:
        folder = Path(given).absolute() / name
        if not any(folder.glob("*.jar")):
            raise BadConfig(f"FRAUD_JARS is {given}, but {folder} holds no jars")
        return sorted(folder.glob("*.jar"))
    key = hashlib.sha256("\n".join((_rules(), *packages)).encode()).hexdigest()[:12]
    folder = cache_folder() / "jars" / f"{name}-{key}"
    if not folder.exists():
        with locked(
            folder.with_suffix(".lock"), lambda: tell(f"another process fetches the {name} jars; waiting")
        ):
            if not folder.exists():
                _fetch(name, packages, folder, tell, resolve)
    return sorted(folder.glob("*.jar"))


def _rules() -> str:
    """Change whatever is kept together with a resolution: the Spark whose own jars are left out."""
    return "1 " + ",".join(sorted(jar.name for jar in (spark_home() / "jars").glob("spark-core_*.jar")))


def _fetch(name: str, packages: Sequence[str], folder: Path, tell: Tell, resolve: Resolve) -> None:
    """Resolve into a partial folder, which a later try continues with, then rename it."""
    tell(f"fetching the {name} jars into {folder.parent} (once, a minute or more): {', '.join(packages)}")
    ivy = folder.with_suffix(".ivy")
    ivy.mkdir(parents=True, exist_ok=True)
    resolve(packages, ivy, tell)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    own = {_artifact(jar.name): jar for jar in (spark_home() / "jars").glob("*.jar")}
    for jar in (ivy / "jars").glob("*.jar"):
        artifact = jar.name.split("_", 1)[1]  # the resolver writes <group>_<artifact>-<version>.jar
        if name == "broker" or _artifact(artifact) not in own:
            shutil.move(jar, partial / jar.name)
    if name == "broker":  # the resolver leaves this one out, because Spark has it
        shutil.copy2(own["scala-library"], partial)
    count = len(list(partial.iterdir()))
    partial.rename(folder)
    shutil.rmtree(ivy, ignore_errors=True)
    tell(f"fetched {count} {name} jars")


def _resolve(packages: Sequence[str], ivy: Path, tell: Tell) -> None:
    """Run a Spark program that does nothing, so that its resolver fetches ``packages``."""
    program = ivy / "nothing.py"
    program.write_text("")
    log = ivy / "resolve.log"
    spark = spark_home()
    command = [
        str(spark / "bin" / "spark-submit"),
        *("--master", "local[1]"),
        *("--packages", ",".join(packages)),
        *("--conf", f"spark.jars.ivy={ivy}"),
        *_trust_options(ivy / "trusted.p12"),
        str(program),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"SPARK_CONF_DIR", "PYTHONPATH"}},
        "SPARK_HOME": str(spark),
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _follow(process, ivy / "jars", ivy / "cache", tell)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0 or not any((ivy / "jars").glob("*.jar")):
        raise Unavailable(
            f"the jars for {', '.join(packages)} could not be fetched: {_reason(log)}. Check the network "
            "(behind a mirror set DEFAULT_ARTIFACT_REPOSITORY), or set FRAUD_JARS to a folder of jars",
        )


def _trust_options(file: Path) -> list[str]:
    """Let a Java that came as a package trust what this machine trusts; the machine's own Java does."""
    if not is_packaged(java_home()) or not write_trust_store(file):
        return []
    store = f'-Djavax.net.ssl.trustStore="{file}" -Djavax.net.ssl.trustStorePassword={PASSWORD}'
    return ["--driver-java-options", f"{store} -Djavax.net.ssl.trustStoreType=PKCS12"]


def _follow(process: "subprocess.Popen[bytes]", jars: Path, downloads: Path, tell: Tell) -> None:
    """Wait for the resolver, telling how much has arrived, every ten seconds."""
    started = time.monotonic()
    told = started
    while process.poll() is None:
        now = time.monotonic()
        if now - started > _TIMEOUT_S:
            return
        if now - told >= 10.0:
            told = now
            size = sum(jar.stat().st_size for jar in downloads.rglob("*.jar")) / 1e6
            count = len(list(jars.glob("*.jar")))
            tell(f"  {now - started:.0f} s: {size:.0f} MB downloaded, {count} jars in place")
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue


def _reason(log: Path) -> str:
    """Pick the line of the resolver's report that says what went wrong."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if "UnknownHost" in line or "unresolved dependency" in line or "Exception" in line
    ]
    return telling[-1] if telling else " / ".join(lines[-3:]) or "no word from the resolver"


def _artifact(jar: str) -> str:
    """Cut the version off a jar's name, e.g. ``jackson-core-2.21.2.jar`` -> ``jackson-core``."""
    return re.sub(r"-\d[^-]*(-\d+)?(-(incubating|jre))?\.jar$", "", jar)


def _tell(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)
