"""What ``fraud rules`` prints: whole on any width, with words on lists that are not there."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from fraud.decide.compiling import compile_rules
from fraud.decide.lists import ListEvent, ListKind, ListRecord, ListStore
from fraud.decide.past_lists import PastLists
from jobs.rules.show import notes_on_lists, print_rows

NAMES = ("rule", "hits", "precision of its hits", "most beside")
ROWS = [["a_rule_with_a_long_name", "1,234", "90% (60-98)", "another_rule 12%"], ["b", "0", "", ""]]


def printed(width: int) -> str:
    file = io.StringIO()
    print_rows(Console(file=file, width=width), "what they did", NAMES, ROWS)
    return file.getvalue()


def test_rows_are_a_table_where_it_fits() -> None:
    lines = printed(100).splitlines()
    assert lines[0] == "what they did"
    assert len({len(line) for line in lines[1:]}) == 1, "a frame"
    assert [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line] == ROWS


@pytest.mark.parametrize("width", [20, 40, 77])
def test_a_narrow_screen_or_file_has_every_name_and_number(width: int) -> None:
    words = "hits 1,234, precision of its hits 90% (60-98), most beside another_rule 12%"
    assert printed(width).splitlines() == ["what they did", f"a_rule_with_a_long_name: {words}", "b: hits 0"]


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    rule = {"name": "r", "when": "in_list(device_id, 'here') || in_list(device_id, 'gone')", "tags": ["t"]}
    file = {"version": "a", "lists": {"here": "live", "gone": "live"}, "rules": [{**rule, "reason": "r"}]}
    rules = compile_rules(json.dumps(file).encode())
    store = ListStore(tmp_path)
    now = datetime.now(UTC)
    made = ListEvent(list="here", action="create", by="ana", at=now, kind=ListKind.TEXT)
    store.apply([ListRecord(0, made.model_dump_json().encode(), now.timestamp())])
    (note,) = notes_on_lists(rules, PastLists(store))
    assert note.startswith("note: there is no list gone, so rules that read it do not hold")
    assert notes_on_lists(rules, None) == []
    store.close()
