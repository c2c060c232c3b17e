"""The services of compose.yaml on a Docker engine that has no Compose: started, awaited, timed.

    make env && uv run python -m tests.load.containers
    uv run python -m tests.load.containers --only demo

Reads compose.yaml and .env, starts each service when what it depends on is healthy or has ended well, and
ends when all have. The images are on the engine already, by the names that compose.yaml gives them. Called
again, it makes the containers anew over the same volumes. `--remove` removes containers and volumes.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
VARIABLE: Final = re.compile(r"\$\$|\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
POLL_S: Final = 3.0
PATIENCE_S: Final = 1800.0
KEYS: Final = {
    *(
        "image",
        "build",
        "environment",
        "volumes",
        "configs",
        "ports",
        "cap_drop",
        "security_opt",
        "mem_limit",
    ),
    *(
        "user",
        "restart",
        "healthcheck",
        "entrypoint",
        "command",
        "depends_on",
        "profiles",
        "stop_grace_period",
    ),
}
RESTARTS: Final = 5
"""Of a service that must end well, as compose.yaml says it."""


class Engine:
    """The containers of one reading of compose.yaml."""

    def __init__(self, content: dict[str, Any], folder: Path) -> None:
        self.services: dict[str, dict[str, Any]] = content["services"]
        self._content = content
        self._folder = folder
        self._name: str = content["name"]

    def prepare(self) -> None:
        """Make network and volumes, unless they are there."""
        docker("network", "create", self._name, must=False)
        for volume in self._content["volumes"]:
            docker("volume", "create", f"{self._name}_{volume}")

    def remove(self) -> None:
        """Remove containers, network and volumes."""
        for service in self.services:
            docker("rm", "--force", self._container(service), must=False)
        docker("network", "rm", self._name, must=False)
        for volume in self._content["volumes"]:
            docker("volume", "rm", f"{self._name}_{volume}", must=False)

    def start(self, service: str) -> None:
        """Start a new container of a service."""
        container = self._container(service)
        docker("rm", "--force", container, must=False)
        options, command = self.options(service)
        docker("create", "--name", container, *options, self.services[service]["image"], *command)
        docker("start", container)

    def log(self, service: str) -> str:
        """Return the last lines of a container."""
        return docker("logs", "--tail", "40", self._container(service))

    def is_done(self, service: str, *, ends: bool) -> bool:
        """Say whether a service is healthy, or has ended well; a failed one ends the program."""
        found = json.loads(docker("inspect", self._container(service)))[0]
        state = found["State"]
        if not ends and state["Status"] != "exited":
            return bool(state.get("Health", {"Status": "healthy"})["Status"] == "healthy")
        if state["Status"] == "exited" and (state["ExitCode"] or not ends):
            tries = found["HostConfig"]["RestartPolicy"]["MaximumRetryCount"]
            if found["RestartCount"] >= tries:
                raise SystemExit(f"error: {service} ended with {state['ExitCode']}:\n{self.log(service)}")
        return bool(ends and state["Status"] == "exited" and not state["ExitCode"])

    def ends(self, service: str) -> bool:
        """Say whether a service is to end, e.g. the training."""
        return self.services[service]["restart"] in {f"on-failure:{RESTARTS}", "no"}

    def options(self, service: str) -> tuple[list[str], list[str]]:
        """Return the options of ``docker create``, and the command."""
        given = self.services[service]
        if unknown := sorted(set(given) - KEYS):
            raise SystemExit(f"error: {service} has keys that this program does not carry out: {unknown}")
        options = ["--network", self._name, "--network-alias", service, "--hostname", service]
        for key, value in given.get("environment", {}).items():
            options += ["--env", f"{key}={value}"]
        for volume in given.get("volumes", []):
            source, colon, rest = volume.partition(":")
            of = f"{self._name}_{source}" if source in self._content["volumes"] else str(ROOT / source)
            options += ["--volume", of + colon + rest]
        for config in given.get("configs", []):
            file = self._folder / config["source"]
            file.write_text(self._content["configs"][config["source"]]["content"])
            file.chmod(0o444)
            options += ["--volume", f"{file}:{config['target']}:ro"]
        for key, option in (("ports", "publish"), ("cap_drop", "cap-drop"), ("security_opt", "security-opt")):
            for value in given.get(key, []):
                options += [f"--{option}", value.removesuffix(":true")]
        for key, option in (("mem_limit", "memory"), ("user", "user"), ("restart", "restart")):
            if key in given:
                options += [f"--{option}", given[key]]
        if "stop_grace_period" in given:
            options += ["--stop-timeout", given["stop_grace_period"].removesuffix("s")]
        options += _probe(given.get("healthcheck"))
        start = list(given.get("entrypoint", []))
        command = [*start[1:], *given.get("command", [])]
        return options + [f"--entrypoint={one}" for one in start[:1]], command

    def _container(self, service: str) -> str:
        return f"{self._name}-{service}-1"


def docker(*arguments: str, must: bool = True) -> str:
    """Run a command of the engine."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if must and done.returncode:
        raise SystemExit(f"error: docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout + done.stderr if arguments[0] == "logs" else done.stdout


def interpolated(node: Any, variables: dict[str, str]) -> Any:
    """Put variables in their places, as Compose does."""
    match node:
        case str():
            return VARIABLE.sub(lambda found: _value(found, variables), node)
        case dict():
            return {key: interpolated(value, variables) for key, value in node.items()}
        case list():
            return [interpolated(value, variables) for value in node]
    return node


def main(arguments: list[str]) -> None:
    """Start what is asked for, in its order."""
    parser = argparse.ArgumentParser(prog="tests.load.containers", description=__doc__)
    parser.add_argument("--only", nargs="+", help="services, beside those that run")
    parser.add_argument("--remove", action="store_true", help="remove containers and volumes")
    given = parser.parse_args(arguments)
    file = ROOT / ".env"
    if not file.exists():
        raise SystemExit("error: there is no .env. Write it with: make env")
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    variables = dict(line.split("=", 1) for line in lines)
    content = interpolated(yaml.safe_load((ROOT / "compose.yaml").read_text()), variables)
    engine = Engine(content, Path(mkdtemp()))
    if given.remove:
        engine.remove()
        return
    engine.prepare()
    profiles = {None, *variables["COMPOSE_PROFILES"].split(",")}
    own = [name for name, one in engine.services.items() if set(one.get("profiles", [None])) & profiles]
    run(engine, given.only or own)
    for service in given.only or ():
        sys.stdout.write(engine.log(service))


def run(engine: Engine, services: list[str]) -> None:
    """Start services as what they depend on allows, until all are ready."""
    begun = time.monotonic()
    started: set[str] = set()
    done: set[str] = set()
    while len(done) < len(services):
        if time.monotonic() - begun > PATIENCE_S:
            raise SystemExit(f"error: not ready after {PATIENCE_S:.0f} s: {sorted(set(services) - done)}")
        for service in services:
            needed = set(engine.services[service].get("depends_on", {})) & set(services)
            if service not in started and needed <= done:
                engine.start(service)
                started.add(service)
                _say(begun, "started", service)
            elif service in started - done and engine.is_done(service, ends=engine.ends(service)):
                done.add(service)
                _say(begun, "ended well" if engine.ends(service) else "healthy", service)
        time.sleep(POLL_S)


def _probe(check: dict[str, Any] | None) -> list[str]:
    if check is None:
        return []
    kind, *words = check["test"]
    command = words[0] if kind == "CMD-SHELL" else shlex.join(words)
    times = {"interval": "interval", "timeout": "timeout", "start_period": "start-period"}
    options = [f"--health-{option}={check[key]}" for key, option in times.items()]
    return [*options, f"--health-retries={check['retries']}", f"--health-cmd={command}"]


def _value(found: re.Match[str], variables: dict[str, str]) -> str:
    if found[0] == "$$":
        return "$"
    value = variables.get(found[1], "")
    if not value and found[2] == ":?":
        raise SystemExit(f"error: {found[1]} has no value in .env: {found[3]}")
    return value or found[3] or ""


def _say(begun: float, what: str, service: str) -> None:
    sys.stdout.write(f"{time.monotonic() - begun:6.0f} s  {what} {service}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
