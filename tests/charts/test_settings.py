"""Every setting that a chart or a DAG gives is one that a program reads, with a right value."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from fraud.errors import BadConfig
from tests.charts.conftest import ROOT, cases, objects, pod_specs
from tests.edges import parsed

OURS = re.compile(r"FRAUD_[A-Z0-9_]+")
OF_THE_DAGS = {"FRAUD_DAGS_PLAN"}


def below(kind: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for one in kind.__subclasses__():
        yield one
        yield from below(one)


@cache
def kinds() -> dict[str, list[type[BaseSettings]]]:
    """All classes of settings by their prefix."""
    for folder in ("fraud", "jobs", "services"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "env_prefix=" in file.read_text():
                importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    found: dict[str, list[type[BaseSettings]]] = {}
    for kind in below(BaseSettings):
        prefix = kind.model_config.get("env_prefix", "")
        if prefix.startswith("FRAUD_"):
            found.setdefault(prefix, []).append(kind)
    return found


def unknown(names: set[str]) -> set[str]:
    known = {
        prefix + field.upper()
        for prefix, all_ in kinds().items()
        for kind in all_
        for field in kind.model_fields
    }
    nested = tuple(name + "__" for name in known)
    return {name for name in names - known - OF_THE_DAGS if not name.startswith(nested)}


def given(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings of an object's containers, or in a ConfigMap read as settings; None: from elsewhere."""
    for _, spec in pod_specs(obj):
        for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
            yield {one["name"]: one.get("value") for one in container.get("env", [])}
    if obj["kind"] == "ConfigMap":
        yield obj.get("data") or {}


def settings_of(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: one[name] for name in one if OURS.fullmatch(name)} for one in given(obj)]


def wrong(settings: dict[str, Any]) -> list[str]:
    """What the programs would say of the values, but for what they miss."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            if value is not None:
                patch.setenv(name, value)
        for prefix, all_ in kinds().items():
            for kind in all_ if any(name.startswith(prefix) for name in settings) else ():
                try:
                    kind()
                except BadConfig as error:
                    cause = error.__cause__
                    if not isinstance(cause, ValidationError):
                        raise
                    said += [str(one) for one in cause.errors() if one["type"] != "missing"]
    return said


@pytest.mark.parametrize(("chart", "values"), cases())
def test_a_chart_gives_settings_that_programs_read(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        for settings in settings_of(obj):
            assert unknown(set(settings)) == set()
            assert wrong(settings) == []


def test_dags_give_settings_that_programs_read() -> None:
    found = set()
    for dag in sorted((ROOT / "dags").glob("*.py")):
        constants = (node.value for node in ast.walk(parsed(dag)) if isinstance(node, ast.Constant))
        found |= {value for value in constants if isinstance(value, str) and OURS.fullmatch(value)}
    assert "FRAUD_EVALUATE_OUT" in found
    assert unknown(found) == set()


def test_a_wrong_name_and_a_wrong_value_are_found() -> None:
    assert unknown({"FRAUD_STREAM_HOME", "FRAUD_STREAM_HOUSE"}) == {"FRAUD_STREAM_HOUSE"}
    assert wrong({"FRAUD_STREAM_PARTITIONS": "none"}) != []


@pytest.mark.parametrize("values", sorted({values for _, values in cases()}))
def test_all_charts_mean_the_same_tables(values: str) -> None:
    found = {
        value
        for chart, others in cases()
        if others == values
        for obj in objects(chart, values)
        for settings in settings_of(obj)
        for name, value in settings.items()
        if value
        and name in {"FRAUD_STREAM_DELTA", "FRAUD_CONSOLE_DELTA", "FRAUD_TRAIN_DATA", "FRAUD_EVALUATE_DATA"}
    }
    assert len({value for value in found if "delta" in value}) == 1
