"""The console as people use it: a real Chromium, a real broker, real Delta tables."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry, Gauge
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from fraud.contracts import DECISIONS, LABELS, parse_record
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.model.overview import ModelVersion, Registry
from fraud.watch.figures import publish_figures
from jobs.experiment.run import run
from services.console.app import Console
from services.console.live import now
from tests.fraud.kafka.broker import read_all
from tests.jobs.experiment.test_analysis import World as Arms
from tests.services.console.conftest import World, label_of, serve, settings_of
from tests.services.console.wcag import violations
from tests.wire import Decision, Label

pytestmark = pytest.mark.flow
PATIENCE_S = 60.0


class Desk:
    """A console on a broker, looked at by a browser."""

    def __init__(self, console: Console, url: str, kafka: str, browser: Any) -> None:
        self.console, self.url, self.kafka, self.browser = console, url, kafka, browser
        self._producer = Producer({"bootstrap.servers": kafka, "acks": "all"})

    def publish(self, topic: str, *records: Decision | Label) -> None:
        for record in records:
            self._producer.produce(topic, record.model_dump_json(), record.user_id)
        assert self._producer.flush(30) == 0

    def open(self, path: str = "/") -> None:
        self.browser.get(self.url + path)

    def wait(self, is_true: Callable[[], Any]) -> Any:
        ignored = (Exception,)  # an element that is replaced while it is looked at
        return WebDriverWait(self.browser, PATIENCE_S, 0.05, ignored).until(lambda _: is_true())

    def press(self, key: str) -> None:
        self.browser.find_element(By.TAG_NAME, "body").send_keys(key)

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def ids(self) -> list[str]:
        return list(
            self.browser.execute_script(
                "return [...document.querySelectorAll('tr[data-id]')].map(row => row.dataset.id)"
            )
        )

    def chosen(self) -> str:
        return str(self.all("tr.at")[0].get_attribute("data-id"))

    def labels(self) -> dict[str, Label]:
        """All labels in Kafka, the newest of each transaction."""
        labels = [parse_record(Label, message.value()) for message in read_all(self.kafka, LABELS)]
        return {label.transaction_id: label for label in labels}

    def troubles(self) -> list[Any]:
        """What the browser complains about: scripts that fail, things that a policy forbids."""
        return [entry for entry in self.browser.get_log("browser") if "favicon" not in entry["message"]]


class Versions(Registry):
    """A registry that answers without a server."""

    def __init__(self) -> None:
        """Ask nobody."""

    def versions(self) -> list[ModelVersion]:
        metrics = {"pr_auc": 0.81, "precision": 0.9, "recall": 0.7}
        names = enumerate(("champion", "challenger", "previous"))
        return [ModelVersion(name, str(number), now(), {}, metrics) for number, name in names]


def measured(delta: str) -> None:
    """Write the figures of the jobs, as Prometheus and the page of the model read them."""
    drift, performance, parity = (CollectorRegistry() for _ in range(3))
    psi = Gauge("fraud_drift_psi", "d", ["feature"], registry=drift)
    for number in range(5):
        psi.labels(f"feature_{number}").set(0.1 * number)
    Gauge("fraud_drift_features_drifted", "d", registry=drift).set(2)
    ratio = Gauge("fraud_performance_ratio", "d", ["metric", "window", "version"], registry=performance)
    ratio.labels("recall", "7d", "all").set(0.8)
    Gauge("fraud_parity_transactions", "d", registry=parity).set(1_000)
    for job, registry in (("drift", drift), ("performance", performance), ("parity", parity)):
        publish_figures(delta, {}, job, registry)


@pytest.fixture(scope="module")
def desk(world: World, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("desk")
    arms = Arms(home)
    arms.decide({"control": 0.01, "treatment": 0.01}, days=20)
    run(arms.settings)
    measured(f"{world.folder}/delta")
    local = LocalSettings(
        home=home, kafka_port=0, kafka_controller_port=0, kafka_partitions=2, kafka_heap_mb=384
    )
    try:
        platform.up(local, ["broker"])
        kafka = next(part.url for part in platform.status(local) if part.name == "broker") or ""
        settings = settings_of(
            world,
            kafka_bootstrap=kafka,
            kafka_timeout_s=10.0,
            experiment_file=arms.settings.file,
            experiment_state=arms.settings.out / "state.json",
        )
        console = Console(settings, Versions())
        with serve(console) as url:
            made = Desk(console, url, kafka, browser)
            made.publish(DECISIONS, *world.decisions[:-30])
            expected = {one.transaction_id for one in world.decisions[:-30]}
            while not expected <= {one.transaction_id for one in console.live.recent(10_000)}:
                assert not console.follower.is_stopping
                threading.Event().wait(0.05)
            yield made
            browser.get("about:blank")
    finally:
        platform.down(local)


def test_an_alert_appears_on_the_open_page_as_it_happens(desk: Desk, world: World) -> None:
    desk.open()
    desk.wait(lambda: desk.all("tr[data-id]"))
    fresh = [one for one in world.decisions[-30:] if one in world.alerts] or [
        world.alerts[0].model_copy(update={"transaction_id": "fresh-1"})
    ]
    before = set(desk.ids())
    desk.publish(DECISIONS, *world.decisions[-30:], *fresh)
    desk.wait(lambda: {one.transaction_id for one in fresh} <= set(desk.ids()))
    assert {one.transaction_id for one in fresh}.isdisjoint(before)
    assert desk.troubles() == []


def test_the_keys_choose_confirm_and_dismiss_and_each_answer_is_a_label(desk: Desk) -> None:
    desk.open()
    desk.wait(lambda: len(desk.ids()) > 3)
    first, second, third = desk.ids()[:3]
    for key in "jjk":
        desk.press(key)
    assert desk.chosen() == first
    desk.press("c")
    desk.wait(lambda: first not in desk.ids())
    assert desk.chosen() == second
    desk.press("d")
    desk.wait(lambda: second not in desk.ids())
    labels = desk.labels()
    assert (labels[first].is_fraud, labels[second].is_fraud) == (True, False)
    assert labels[first].source == "analyst:anonymous"
    assert desk.chosen() == third
    desk.press(Keys.ENTER)
    desk.wait(lambda: desk.all(f"[data-case='{third}']"))
    assert desk.troubles() == []


def test_a_case_is_judged_by_its_buttons_and_the_list_forgets_it(desk: Desk) -> None:
    desk.open()
    case = desk.wait(desk.ids)[0]
    desk.open(f"/cases/{case}")
    assert len(desk.all("svg.timeline .event.case")) == 1
    assert len(desk.all("svg.map .event")) > 0
    assert desk.all(".reasons li")
    desk.all("button.danger")[0].click()
    desk.wait(lambda: desk.all("[data-label] .badge.fraud"))
    assert desk.labels()[case].is_fraud
    desk.press("b")
    desk.wait(lambda: desk.ids() and case not in desk.ids())
    assert desk.troubles() == []


def test_a_label_given_elsewhere_counts_here(desk: Desk) -> None:
    desk.open()
    case = desk.wait(desk.ids)[0]
    decision = desk.console.live.find(case)
    assert decision is not None
    desk.publish(LABELS, label_of(decision, is_fraud=True))
    desk.wait(lambda: desk.console.live.label(case))
    desk.open(f"/cases/{case}")
    assert desk.all("[data-label] .badge.fraud")


def test_without_a_script_the_forms_work(desk: Desk) -> None:
    desk.open()
    case = desk.wait(desk.ids)[0]
    desk.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        desk.open(f"/cases/{case}")
        desk.all("button[value=honest]")[0].click()
        desk.wait(lambda: desk.all("[data-label] .badge.honest"))
    finally:
        desk.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert desk.labels()[case].is_fraud is False


def test_a_paused_page_shows_what_came_when_it_goes_on(desk: Desk, world: World) -> None:
    desk.open()
    desk.wait(desk.ids)
    desk.all("[data-pause]")[0].click()
    decisions = [
        world.alerts[0].model_copy(update={"transaction_id": f"paused-{number}"}) for number in range(2)
    ]
    desk.publish(DECISIONS, *decisions)
    desk.wait(lambda: desk.browser.execute_script("return held.length") == 2)
    assert not {"paused-0", "paused-1"} & set(desk.ids())
    assert desk.all("[data-pause]")[0].text == "Resume"
    desk.press("p")
    desk.wait(lambda: {"paused-0", "paused-1"} <= set(desk.ids()))
    assert desk.troubles() == []


def test_keys_that_are_turned_off_change_nothing_on_any_page(desk: Desk) -> None:
    desk.open()
    desk.wait(desk.ids)
    desk.all("[data-help]")[0].click()
    desk.all("[data-keys-on]")[0].click()
    try:
        desk.open()
        first = desk.wait(desk.ids)[0]
        before = len(desk.labels())
        for key in "jc":
            desk.press(key)
        assert desk.all("tr.at") == []
        assert desk.ids()[0] == first
        assert len(desk.labels()) == before
    finally:
        desk.browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize(
    "page", ["alerts", "all", "case", "missing", "model", "experiment", "rules", "lists"]
)
def test_every_page_meets_wcag_in_both_colour_schemes(desk: Desk, page: str) -> None:
    case = desk.console.live.alerts()[0].transaction_id
    paths = {"alerts": "/", "all": "/?show=all", "case": f"/cases/{case}", "missing": "/cases/none"}
    desk.open(paths.get(page, f"/{page}"))
    desk.wait(lambda: page not in {"alerts", "all"} or desk.ids())
    assert violations(desk.browser) == []
    desk.all("[data-help]")[0].click()
    assert violations(desk.browser) == []


def test_pages_without_content_meet_wcag(desk: Desk, world: World) -> None:
    with serve(Console(settings_of(world, delta=""))) as url:
        for path in ("/", "/cases/none", "/model", "/experiment", "/rules", "/lists"):
            desk.browser.get(url + path)
            assert violations(desk.browser) == [], path


def test_a_page_that_breaks_a_rule_is_found(desk: Desk) -> None:
    desk.open()
    desk.browser.execute_script("document.querySelector('.find input').removeAttribute('aria-label')")
    desk.browser.execute_script("document.querySelector('.find input').removeAttribute('placeholder')")
    assert any("label" in one for one in violations(desk.browser))


def test_on_a_telephone_nothing_is_wider_than_the_screen(desk: Desk) -> None:
    area = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    desk.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", area)
    try:
        case = desk.console.live.alerts()[0].transaction_id
        for path in ("/", f"/cases/{case}", "/model", "/experiment"):
            desk.open(path)
            width = desk.browser.execute_script("return document.documentElement.scrollWidth")
            assert width <= 390, path
    finally:
        desk.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_console_that_starts_reads_the_newest_decisions_and_all_labels_since(
    desk: Desk, world: World
) -> None:
    judged = desk.console.live.alerts()[0]
    label = label_of(judged, is_fraud=True)
    many = [label.model_copy(update={"transaction_id": f"other-{number}"}) for number in range(200)]
    desk.publish(LABELS, label, *many)
    console = Console(settings_of(world, kafka_bootstrap=desk.kafka, look_back=40))
    with serve(console):
        desk.wait(lambda: console.live.label("other-199"))
        desk.wait(lambda: console.live.find(judged.transaction_id))
        assert len(console.live.recent(10_000)) <= 80
        assert console.live.label(judged.transaction_id)
