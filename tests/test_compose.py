"""The platform in containers: as Compose reads it, from the same images, with settings that programs read."""

import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from fraud.contracts import TOPICS
from fraud.programs import PROGRAMS
from tests.charts.test_settings import unknown, wrong
from tests.load.containers import Engine
from tests.test_repository import artifacts

ROOT = Path(__file__).parent.parent
FILE = ROOT / "compose.yaml"
SCHEMA = ROOT / "tests" / "charts" / "schemas" / "compose-spec.json"
ENDS = {"topics", "owner", "mlflow-migrate", "generate", "train", "backfill", "demo"}
VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


@cache
def env() -> dict[str, str]:
    """What `.ci/env` writes."""
    file = ROOT / ".pytest_cache" / "compose.env"
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    subprocess.run([".ci/env", file], cwd=ROOT, check=True, capture_output=True)
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))


def interpolated(node: Any) -> Any:
    """Put variables in their places, as Compose does."""
    match node:
        case str():
            return VARIABLE.sub(lambda found: env().get(found[1]) or found[3], node).replace("$$", "$")
        case dict():
            return {key: interpolated(value) for key, value in node.items()}
        case list():
            return [interpolated(value) for value in node]
    return node


@cache
def compose() -> dict[str, Any]:
    found: dict[str, Any] = interpolated(yaml.safe_load(FILE.read_text()))
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def test_compose_would_read_the_file() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(compose())] == []


def test_a_wrong_file_is_found() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert list(validator.iter_errors({"services": {"kafka": {"imagine": "x"}}}))


def test_containers_run_the_images_that_skaffold_builds() -> None:
    built: dict[str, dict[str, Any]] = {}
    for name, one in services().items():
        if "build" in one:
            image = one["image"].removeprefix("fraud/").removesuffix(":dev")
            assert one["build"]["context"] == ".", name
            built[image] = one["build"]
    assert set(built) == set(artifacts()) - {"airflow"}
    for image, build in built.items():
        assert build.get("args", {}) == artifacts()[image].get("buildArgs", {}), image
        assert build.get("dockerfile", "Dockerfile") == artifacts()[image].get("dockerfile", "Dockerfile")


def test_the_programs_are_those_of_the_images() -> None:
    named = {
        one["command"][0] for one in services().values() if "command" in one and "fraud/" in one["image"]
    }
    assert {name for name in named if not name.startswith("--")} - {"python"} <= set(PROGRAMS)


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    for name, one in services().items():
        given = {
            key: str(value) for key, value in one.get("environment", {}).items() if key.startswith("FRAUD_")
        }
        if given:
            yield name, given


def test_settings_are_ones_that_programs_read() -> None:
    found = dict(environments())
    assert {"predictor", "stream", "scoring", "console", "simulator", "backfill", "train", "demo"} == set(
        found
    )
    for name, given in found.items():
        assert unknown(set(given)) == set(), name
        assert wrong(given) == [], name


def test_the_topics_are_those_of_the_contracts_and_carry_the_brokers_time() -> None:
    script = services()["topics"]["entrypoint"][-1]
    (named,) = re.findall(r"for topic in ([\w -]+);", script)
    assert set(named.split()) == set(TOPICS)
    assert "message.timestamp.type=LogAppendTime" in script


def test_history_and_traffic_are_of_one_world() -> None:
    generated = dict(
        arg.removeprefix("--").split("=") for arg in services()["generate"]["command"] if "=" in arg
    )
    traffic = services()["simulator"]["environment"]
    for name in ("transactions", "users", "merchants", "days", "seed", "start"):
        assert generated[name] == traffic[f"FRAUD_SIMULATOR_{name.upper()}"]
    ends = {
        services()["train"]["environment"]["FRAUD_TRAIN_AS_OF"],
        services()["backfill"]["environment"]["FRAUD_BACKFILL_UNTIL"],
    }
    assert ends == {traffic["FRAUD_SIMULATOR_PLAY_FROM"]}


def test_who_stays_is_probed_and_started_again_and_who_ends_is_waited_for() -> None:
    for name, one in services().items():
        if name in ENDS:
            assert "healthcheck" not in one, name
            assert one["restart"] in {"on-failure:5", "no"}, name
        else:
            assert one["restart"] == "unless-stopped", name
            assert "healthcheck" in one or name == "store-exporter", name  # whose image has no shell
        for other, how in one.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ENDS else "service_healthy"
            assert how == {"condition": wanted}, f"{name} after {other}"
    waited = {other for one in services().values() for other in one.get("depends_on", {})}
    assert ENDS - waited == {"demo"}


def test_no_probe_asks_for_a_newer_engine() -> None:
    """`start_interval` is refused by engines before 25, which Debian and Ubuntu still have."""
    for name, one in services().items():
        assert "start_interval" not in one.get("healthcheck", {}), name


def test_memory_is_bounded_and_the_readme_adds_it_up() -> None:
    sizes = {"m": 1, "g": 1024}
    limits = {name: one.get("mem_limit") for name, one in services().items() if name != "owner"}
    assert None not in limits.values()
    stay = [size for name, size in limits.items() if name not in ENDS and size]
    total = sum(int(size[:-1]) * sizes[size[-1]] for size in stay) / 1024
    (said,) = re.findall(r"containers add up to (\d+) GiB", (ROOT / "docs" / "start.md").read_text())
    assert int(said) == round(total)


def test_nothing_listens_beyond_this_machine() -> None:
    for name, one in services().items():
        assert all(re.match(r"127\.0\.0\.1:\d+:\d+$", port) for port in one.get("ports", [])), name


def test_every_volume_is_declared_and_used() -> None:
    used = {one.split(":")[0] for service in services().values() for one in service.get("volumes", [])}
    assert {one for one in used if not one.startswith("./")} == set(compose()["volumes"])
    assert all((ROOT / one).is_dir() for one in used if one.startswith("./"))


def test_no_password_stands_in_the_file() -> None:
    for line in FILE.read_text().splitlines():
        for value in re.findall(r"(?:PASSWORD|SECRET|sha256|SHA256): ?\"?([^,}\"]+)|://\w*:([^@/]+)@", line):
            assert "".join(value).startswith("${"), line


def test_the_parts_are_scraped_where_they_are_probed() -> None:
    config = yaml.safe_load(compose()["configs"]["prometheus"]["content"])
    targets = {
        one for job in config["scrape_configs"] for group in job["static_configs"] for one in group["targets"]
    }
    probed = {
        f"{name}:{port}"
        for name, one in services().items()
        if "fraud/" in one["image"]
        for port in re.findall(r"127\.0\.0\.1:(\d+)/", " ".join(one.get("healthcheck", {}).get("test", [])))
    }
    assert probed - {"mlflow:5000"} == targets - {"store-exporter:9121"}


def test_prometheus_would_take_its_configuration(tmp_path: Path) -> None:
    text = compose()["configs"]["prometheus"]["content"].replace(
        "/etc/prometheus/rules", str(ROOT / "charts/monitoring/rules")
    )
    (tmp_path / "prometheus.yml").write_text(text)
    command = ["promtool", "check", "config", tmp_path / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rules found" in done.stdout


def test_the_passwords_are_random_and_stay(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in [*files, files[0]]:
        before = file.read_text() if file.exists() else None
        subprocess.run([".ci/env", file], cwd=ROOT, check=True, capture_output=True)
        assert before in {None, file.read_text()}
    found = [dict(re.findall(r"^(\w+)=(.+)$", file.read_text(), re.MULTILINE)) for file in files]
    for name in (
        "VALKEY_PASSWORD",
        "POSTGRES_PASSWORD",
        "CONSOLE_SESSION_SECRET",
        "GRAFANA_PASSWORD",
        "SCORING_KEY",
    ):
        assert len({one[name] for one in found} - {""}) == 2, name
    for key in ("SCORING_KEY", "ANALYST_KEY"):
        assert found[0][f"{key}_SHA256"] == hashlib.sha256(found[0][key].encode()).hexdigest()
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_the_file_of_variables_names_all_that_compose_takes() -> None:
    taken = {found[1] for found in VARIABLE.finditer(FILE.read_text())}
    of_ci = {"FRAUD_IMAGES", "FRAUD_VERSION", "DEMO_TRANSACTIONS"}
    assert taken - of_ci == set(env()) - {"COMPOSE_PROFILES", "SCORING_KEY", "ANALYST_KEY"}


@pytest.mark.parametrize("name", ["VALKEY_PASSWORD", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"])
def test_without_the_file_of_variables_compose_says_what_to_do(name: str) -> None:
    assert re.search(rf"\$\{{{name}:\?write \.env with `make env`\}}", FILE.read_text())
    assert os.access(ROOT / ".ci" / "env", os.X_OK)


def test_services_start_on_an_engine_without_compose_with_all_that_the_file_says(tmp_path: Path) -> None:
    engine = Engine(compose(), tmp_path)
    for name, service in services().items():
        options, command = engine.options(name)
        for key, option in (("mem_limit", "--memory"), ("restart", "--restart"), ("user", "--user")):
            found = options[options.index(option) + 1] if option in options else None
            assert found == service.get(key)
        given = {f"{key}={value}" for key, value in service.get("environment", {}).items()}
        assert given <= set(options)
        assert command == [*service.get("entrypoint", [])[1:], *service.get("command", [])]
        assert engine.ends(name) == (name in ENDS)
    assert (tmp_path / "keys").read_text() == compose()["configs"]["keys"]["content"]
