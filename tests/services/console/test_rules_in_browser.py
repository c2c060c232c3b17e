"""Two people publish a rule, and lists are changed, in a real Chromium, on a real broker and real tables."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from fraud.decide.rules import RuleFile
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.rules.publishing import Publishing
from services.console.app import Console
from services.console.settings import ConsoleSettings
from tests.services.console.conftest import serve
from tests.services.console.test_app import entry
from tests.services.console.wcag import violations
from tests.services.scoring.test_rule_paths import archived

pytestmark = pytest.mark.flow
PATIENCE_S = 60.0
PEOPLE = {"ana": "read, label, rules", "ben": "read, rules", "eve": "read"}


def rules(version: str, *more: dict[str, Any]) -> str:
    first = {"name": "large", "when": "amount >= 250.0", "then": "decline", "reason": "r"}
    return json.dumps({"version": version, "rules": [first, *more]}, indent=1)


STEP = {"name": "step", "when": "amount >= 900.0", "then": "challenge", "reason": "large"}


class Desk:
    """A console with a file of rules, looked at by a browser."""

    def __init__(self, console: Console, url: str, file: Path, browser: Any) -> None:
        self.console, self.url, self.file, self.browser = console, url, file, browser

    def enter(self, person: str) -> None:
        """Log in as somebody, in place of whoever is logged in."""
        self.browser.delete_all_cookies()
        self.browser.get(f"{self.url}/login")
        self.one("input[name=key]").send_keys(f"key-of-{person}")
        self.click("main button.primary")
        self.wait(lambda: self.all("[data-alerts]"))

    def open(self, path: str) -> None:
        self.browser.get(self.url + path)

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> Any:
        return self.wait(lambda: self.all(selector))[0]

    def text(self, selector: str) -> str:
        return str(self.one(selector).text)

    def click(self, selector: str) -> None:
        found = self.one(selector)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def wait(self, is_true: Callable[[], Any]) -> Any:
        ignored = (Exception,)  # an element that is replaced while it is looked at
        return WebDriverWait(self.browser, PATIENCE_S, 0.05, ignored).until(lambda _: is_true())

    def write(self, content: str) -> None:
        """Write a file of rules, as pasting it does."""
        box = self.one("textarea[name=content]")
        self.browser.execute_script("arguments[0].value = arguments[1]", box, content)

    def choose_day(self, name: str, day: str) -> None:
        """Choose a day, as the browser's calendar does."""
        box = self.one(f"input[name={name}]")
        self.browser.execute_script("arguments[0].value = arguments[1]", box, day)

    @property
    def names(self) -> list[str]:
        """Rules that the programs have."""
        return [rule.name for rule in RuleFile(self.file).rules.rules]

    def troubles(self) -> list[Any]:
        return [one for one in self.browser.get_log("browser") if "favicon" not in one["message"]]


@pytest.fixture(scope="module")
def desk(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    browser.get_log("browser")  # what other files' pages have left there
    home = tmp_path_factory.mktemp("rules")
    file, keys = home / "rules.yaml", home / "keys.yaml"
    file.write_text(rules("one"))
    log = archived(home / "own", file)
    file.unlink()
    Publishing(file, "ben").approve(Publishing(file, "ana").propose(rules("one").encode(), "one").number)
    keys.write_text("".join(entry(name, f"key-of-{name}", scopes) for name, scopes in PEOPLE.items()))
    local = LocalSettings(
        home=home / "broker", kafka_port=0, kafka_controller_port=0, kafka_partitions=1, kafka_heap_mb=256
    )
    try:
        platform.up(local, ["broker"])
        kafka = next(part.url for part in platform.status(local) if part.name == "broker") or ""
        settings = ConsoleSettings(
            delta=str(log.delta_path),
            kafka_bootstrap=kafka,
            kafka_timeout_s=10.0,
            mlflow_uri="http://127.0.0.1:9",
            keys_file=keys,
            rules_file=file,
            rules_days=3_650,
            rules_report_s=0.0,
        )
        console = Console(settings)
        with serve(console) as url:
            made = Desk(console, url, file, browser)
            yield made
            browser.get("about:blank")
    finally:
        platform.down(local)


def test_two_people_publish_a_rule_and_undo_it(desk: Desk) -> None:
    desk.enter("ana")
    desk.open("/rules")
    assert "250.0" in desk.text("[data-rule=large]")
    assert "4" in desk.text("[data-rule=large] td:nth-child(5)"), "hits by the report"
    desk.write(rules("two", STEP))
    desk.click("[data-try]")
    assert desk.text("[data-trial] [data-tried=step] td:nth-child(2)") == "2", "hits by the backtest"
    assert {one.text for one in desk.all("[data-tried=step] a")} == {"t7", "t8"}
    (day,) = desk.all("[data-trial] [data-day]")
    assert [one.text for one in day.find_elements(By.TAG_NAME, "td")] == ["2026-04-10", "12", "4", "2"]
    assert violations(desk.browser) == []
    assert desk.all("[data-proposal]") == [], "trying proposes nothing"
    day_before = "2026-04-09"
    desk.choose_day("until", day_before)
    desk.click("[data-try]")
    desk.wait(lambda: "no transactions in this range" in desk.text("[data-trial]"))
    assert desk.one("input[name=until]").get_attribute("value") == day_before
    desk.click("[data-propose] button.primary")
    assert '+   "name": "step"' in desk.text("[data-proposal] .diff")
    assert "step: 2 hits" in desk.text("[data-proposal] [data-tried]")
    assert desk.all("[data-approve]") == [], "nobody approves what is one's own"
    assert violations(desk.browser) == []
    assert desk.names == ["large"]
    desk.enter("ben")
    desk.open("/rules")
    assert violations(desk.browser) == []
    desk.click("[data-approve]")
    desk.wait(lambda: desk.all("[data-rule=step]"))
    assert desk.names == ["large", "step"]
    newest = [one.text for one in desk.all("[data-entry]")][:2]
    assert "ben approved 4" in newest[0]
    assert "ana proposed" in newest[1]
    desk.click("[data-undo]")
    desk.wait(lambda: not desk.all("[data-rule=step]") and desk.all("[data-rule=large]"))
    assert desk.names == ["large"]
    told = [(one.by, one.action) for one in Publishing(desk.file, "x").verify()]
    assert told[3:] == [("ana", "proposed"), ("ben", "approved"), ("ben", "undone")]
    assert desk.troubles() == []


def test_wrong_rules_are_refused_with_their_line_and_stay_in_the_form(desk: Desk) -> None:
    desk.enter("ana")
    desk.open("/rules")
    wrong = rules("three", {**STEP, "when": "amout > 1.0"})
    desk.write(wrong)
    desk.click("[data-propose] button.primary")
    assert "'amout' does not exist; did you mean amount?" in desk.text("[data-words]")
    assert violations(desk.browser) == []
    assert desk.one("textarea[name=content]").get_attribute("value") == wrong
    assert desk.names == ["large"]
    assert ["422" in one["message"] for one in desk.troubles()] == [True]


def test_who_has_no_right_sees_and_changes_nothing(desk: Desk) -> None:
    desk.enter("eve")
    desk.open("/rules")
    assert desk.all("[data-rule=large]")
    assert desk.all("textarea, [data-approve], [data-undo]") == []
    assert violations(desk.browser) == []
    desk.open("/lists")
    assert desk.all("[data-create], [data-add]") == []


def test_a_list_is_made_filled_from_a_case_and_emptied(desk: Desk) -> None:
    desk.enter("ana")
    desk.wait(lambda: desk.console.list_pages.is_open)
    desk.open("/lists")
    desk.one("[data-create] input[name=list]").send_keys("stolen")
    desk.click("[data-create] button")
    desk.one("[data-add] input[name=value]").send_keys("d-9")
    desk.one("[data-add] input[name=why]").send_keys("case 4711")
    desk.click("[data-add] button")
    row = desk.text("[data-value=d-9]")
    assert "ana" in row
    assert "case 4711" in row
    assert violations(desk.browser) == []
    desk.open("/cases/t7")
    assert violations(desk.browser) == []
    options = Select(desk.one("[data-add] select[name=value]"))
    options.select_by_visible_text("user_id: u7")
    desk.click("[data-add] button")
    desk.wait(lambda: desk.all("[data-case=t7]"))
    desk.open("/lists?list=stolen")
    assert "case t7" in desk.text("[data-value=u7]")
    desk.click("[data-value=d-9] button")
    desk.wait(lambda: desk.all("[data-value=u7]") and not desk.all("[data-value=d-9]"))
    assert desk.troubles() == []


def test_the_page_to_log_in_meets_wcag_also_after_a_wrong_key(desk: Desk) -> None:
    desk.browser.delete_all_cookies()
    desk.browser.get(f"{desk.url}/login")
    assert violations(desk.browser) == []
    desk.one("input[name=key]").send_keys("wrong")
    desk.click("main button.primary")
    desk.wait(lambda: desk.all("[role=alert]"))
    assert violations(desk.browser) == []
    desk.troubles()  # the status 401, which the log has


def test_on_a_telephone_nothing_is_wider_than_the_screen(desk: Desk) -> None:
    desk.enter("ana")
    area = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    desk.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", area)
    try:
        for path in ("/rules", "/lists"):
            desk.open(path)
            width = desk.browser.execute_script("return document.documentElement.scrollWidth")
            assert width <= 390, path
    finally:
        desk.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
