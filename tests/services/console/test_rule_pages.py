"""The pages of rules and lists: who may do what, and words for all that is wrong; without a broker."""

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fraud.rules.audit import Audit
from fraud.rules.history import Range
from fraud.rules.publishing import Publishing, audit_of
from fraud.runtime.waiting import wait_until
from services.console.app import Console
from services.console.rule_trial import range_of
from services.console.settings import ConsoleSettings
from tests.services.console.test_app import call, entry

PEOPLE = {"ana": "read, rules", "ben": "read, rules", "eve": "read"}
Act = Callable[..., httpx.Response]


def rules(version: str, when: str = "amount >= 250.0") -> str:
    rule = {"name": "large", "when": when, "then": "decline", "reason": "<b>large</b>"}
    return json.dumps({"version": version, "rules": [rule]}, indent=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rules.yaml"
    Publishing(made, "ben").approve(Publishing(made, "ana").propose(rules("one").encode(), "one").number)
    return made


@pytest.fixture
def console(file: Path, tmp_path: Path) -> Console:
    keys = tmp_path / "keys.yaml"
    keys.write_text("".join(entry(name, f"key-of-{name}", scopes) for name, scopes in PEOPLE.items()))
    settings = ConsoleSettings(
        keys_file=keys,
        rules_file=file,
        kafka_bootstrap="127.0.0.1:9",
        kafka_timeout_s=0.2,
        delta=str(tmp_path / "nothing"),
    )
    return Console(settings)


def act(console: Console, who: str, path: str, *, token: bool = True, **form: str) -> httpx.Response:
    """Log in, and send a form; a page is asked for without one."""
    client = console.door.keys.find(f"key-of-{who}".encode())
    assert client is not None
    session = console.sessions.begin(client)
    if token:
        form["token"] = console.sessions.token(session)
    cookies = {"cookie": f"fraud_console={console.sessions.write(session)}"}
    (answer,) = call(console, ("POST", path, {"data": form, "headers": cookies}))
    return answer


def page(console: Console, who: str, path: str) -> str:
    login = ("POST", "/login", {"data": {"key": f"key-of-{who}"}})
    answer = call(console, login, ("GET", path, {}))[1]
    assert answer.status_code == 200
    return answer.text


def names(file: Path) -> list[str]:
    return [one.action for one in Audit(audit_of(file)).entries()]


def test_without_a_file_the_page_says_what_to_set() -> None:
    console = Console(ConsoleSettings(kafka_bootstrap="127.0.0.1:9"))
    (answer,) = call(console, ("GET", "/rules", {}))
    assert "FRAUD_CONSOLE_RULES_FILE" in answer.text
    session = console.sessions.begin(next(iter([console.door.keys.client_of(None)])))
    form = {"token": console.sessions.token(session), "content": rules("one")}
    cookies = {"cookie": f"fraud_console={console.sessions.write(session)}"}
    (answer,) = call(console, ("POST", "/rules/propose", {"data": form, "headers": cookies}))
    assert answer.status_code == 422


def test_rules_are_shown_as_text_also_where_nothing_has_been_decided(console: Console) -> None:
    text = page(console, "eve", "/rules")
    assert "amount &gt;= 250.0" in text
    assert "<b>large</b>" not in text
    assert "no Delta table" in text, "the account is missing, and the page says so"


def test_thresholds_of_segments_are_shown(console: Console, file: Path) -> None:
    assert "data-segment" not in page(console, "eve", "/rules")
    segment = {"name": "s1", "when": "amount < 20.0", "review": 0.25, "challenge": 0.5, "decline": 0.75}
    file.write_text(json.dumps({**json.loads(rules("two")), "segments": [segment]}))
    text = page(console, "eve", "/rules")
    assert 'data-segment="s1"' in text
    assert "amount &lt; 20.0" in text
    for bound in ("0.25", "0.5", "0.75"):
        assert f'<td class="amount">{bound}</td>' in text


@pytest.mark.parametrize("path", ["try", "propose", "approve", "reject", "undo"])
def test_a_form_needs_its_token_and_the_right(console: Console, file: Path, path: str) -> None:
    before = file.read_bytes(), names(file)
    form = {"content": rules("two"), "number": "1", "note": "n"}
    assert act(console, "ana", f"/rules/{path}", token=False, **form).status_code == 403
    refused = act(console, "eve", f"/rules/{path}", **form)
    assert refused.status_code == 403
    assert "lacks the scope `rules`" in refused.text
    assert (file.read_bytes(), names(file)) == before


def test_a_proposal_needs_another_person_and_carries_why_it_was_not_tried(
    console: Console, file: Path
) -> None:
    assert act(console, "ana", "/rules/propose", content=rules("two"), note="case 7").status_code == 303
    proposal = Publishing(file, "x").audit.entries()[-1]
    assert (proposal.by, proposal.note) == ("ana", "case 7")
    assert proposal.tried.startswith("no backtest: there is no Delta table")
    own = act(console, "ana", "/rules/approve", number=str(proposal.number))
    assert own.status_code == 422
    assert "ana has proposed 4 and cannot approve it" in own.text
    assert act(console, "ben", "/rules/approve", number=str(proposal.number)).status_code == 303
    assert file.read_text() == rules("two")
    assert act(console, "ben", "/rules/undo").status_code == 303
    assert file.read_text() == rules("one")
    assert names(file)[-3:] == ["proposed", "approved", "undone"]
    Publishing(file, "x").verify()


def test_an_approval_may_name_a_time_and_the_console_writes_the_rules_then(
    console: Console, file: Path
) -> None:
    act(console, "ana", "/rules/propose", content=rules("two"))
    for wrong, words in (("noon", "is not a time"), ("2026-01-01T00:00", "is in the past")):
        refused = act(console, "ben", "/rules/approve", number="4", starts=wrong)
        assert refused.status_code == 422
        assert words in refused.text
    begins = datetime.now(UTC) + timedelta(seconds=5)
    answer = act(console, "ben", "/rules/approve", number="4", starts=f"{begins:%Y-%m-%dT%H:%M:%S.%f}")
    assert answer.status_code == 303
    assert "Proposal 4 (two+" in page(console, "eve", "/rules")
    assert file.read_text() == rules("one")

    def is_written() -> bool:
        console.rule_pages.begin_due()
        return file.read_text() == rules("two")

    assert wait_until(is_written, 20.0)
    assert datetime.now(UTC) >= begins
    Publishing(file, "x").verify()
    assert "data-later" not in page(console, "eve", "/rules")


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("yesterday", "", "'yesterday' is not a day; write it like 2026-11-01"),
        ("", "2026-13-01", "'2026-13-01' is not a day"),
        ("", "0001-01-02", "0001-01-02 is too far away"),
        ("", "9999-12-31", "9999-12-31 is too far away"),
        ("2026-11-02", "2026-11-01", "2026-11-02 comes after 2026-11-01"),
        ("2026-11-01", "2026-11-01", "there is no Delta table"),
    ],
)
def test_a_wrong_range_of_a_backtest_is_said_and_stays_in_the_form(
    console: Console, since: str, until: str, words: str
) -> None:
    answer = act(console, "ana", "/rules/try", content=rules("two"), since=since, until=until)
    assert answer.status_code == 422
    text = html.unescape(answer.text)
    assert words in text
    assert f'name="since" value="{since}"' in text
    assert json.loads(rules("two"))["version"] in text


def test_a_range_of_days_includes_both_ends() -> None:
    one_day = range_of({"since": "2026-11-01", "until": "2026-11-01"}, 30)
    assert one_day == Range(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
    assert range_of({"until": "2026-11-30"}, 30).since == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("number", ["", "x", "99", "-1", "٣", "1" * 40])
def test_what_is_no_open_proposal_is_refused(console: Console, file: Path, number: str) -> None:
    before = names(file)
    assert act(console, "ben", "/rules/approve", number=number).status_code == 422
    assert names(file) == before


def test_line_ends_of_browsers_make_no_other_rules(console: Console, file: Path) -> None:
    content = rules("two").replace("\n", "\r\n")
    act(console, "ana", "/rules/propose", content=content)
    assert Publishing(file, "x").audit.entries()[-1].content == rules("two")


def test_a_file_that_was_changed_by_hand_and_a_broken_audit_are_told(console: Console, file: Path) -> None:
    file.write_text(rules("by hand"))
    assert "is not what was published last" in page(console, "eve", "/rules")
    audit = audit_of(file)
    audit.write_text(audit.read_text().replace('"ana"', '"eve"'))
    assert "this record was changed after it was written" in page(console, "eve", "/rules")
    assert act(console, "ana", "/rules/propose", content=rules("two")).status_code == 422


def test_lists_that_were_not_read_yet_change_nothing(console: Console) -> None:
    assert "The lists are being read" in page(console, "ana", "/lists")
    form: dict[str, Any] = {"list": "stolen", "action": "add", "value": "d"}
    assert act(console, "eve", "/lists", **form).status_code == 403
    assert act(console, "ana", "/lists", token=False, **form).status_code == 403
    wrong = act(console, "ana", "/lists", **{**form, "list": "No Name"})
    assert wrong.status_code == 422
    assert re.search("list: .*Nothing was changed", wrong.text)
    assert act(console, "ana", "/lists", **form).status_code == 503
    wrong = act(console, "ana", "/lists", **form, until="tomorrow")
    assert "is not a time; write it like 2026-12-31T12:00" in wrong.text
