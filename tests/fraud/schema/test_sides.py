"""Entities with two sides in a schema's file: what is read, and what is refused, with line and column."""

from pathlib import Path

import pytest

from fraud.errors import BadConfig
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import parse_schema
from fraud.schema.reading.document import json_schema
from jobs.features.candidates import candidates

TEXT = (Path(__file__).parents[3] / "docs" / "examples" / "transfers.yaml").read_text()
SIDES = "{sides: {out: sender, in: receiver}, events: 512}"
PRIMARY = "{key: sender, primary: true, events: 512}"
SENT = "side: out, where: sent, window: 1h"
ONLINE = "entity: sender, where: online, window: 24h"
FIRST = "{statistic: is_first, entity: account, side: out, field: sender}"


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_the_parts_of_an_entity_with_two_sides() -> None:
    schema = parse_schema(TEXT.encode(), "transfers.yaml")
    account = schema.entity("account")
    assert account.sides == (("out", "sender"), ("in", "receiver"))
    assert [entity.name for entity in schema.entities] == ["sender", "account", "device", "pair"]
    assert schema.key_names == ("sender", "receiver", "device")
    sides = [feature.side for feature in schema.features_of(account)]
    assert sides == sorted(sides, reverse=True)
    assert {"out", "in"} == set(sides)
    shown = [one.name for one in schema.filters if one.is_declared]
    assert shown == ["online", "sent", "received"]


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        (
            SIDES,
            "{sides: {out: sender, in: receiver, middle: device}}",
            "sides.middle",
            "there is no such setting; write one of out, in",
        ),
        (SIDES, "{sides: {out: sender, into: receiver}}", "sides.into", "did you mean in?"),
        (SIDES, "{sides: {out: sender}}", "sides.in", "in is missing; write in: ..."),
        (SIDES, "{sides: {out: sender, in: sender}}", "sides.in", "out is sender too; write the field"),
        (SIDES, "{sides: {out: [sender, sender], in: receiver}}", "sides.out", "sender is given twice"),
        (SIDES, "{sides: {out: [sender, device], in: receiver}}", "sides", "out is 2 fields and in is 1"),
        (
            SIDES,
            "{sides: {out: sender, in: purpose}}",
            "sides.in",
            "purpose is a text; name a category or key",
        ),
        (SIDES, "{sides: {out: sender, in: receivers}}", "sides.in", "did you mean receiver?"),
        (SIDES, "{key: sender, sides: {out: sender, in: receiver}}", "sides", "has a key already"),
        (
            SIDES,
            "{events: 512}",
            "entities.account",
            "the entity has no key; write key: FIELD, or sides: {out",
        ),
        (
            PRIMARY,
            "{primary: true, sides: {out: sender, in: receiver}}",
            "entities.sender.sides",
            "the primary entity has one key, which keys the topic; give sides to another entity",
        ),
        (
            "device: {key: device}",
            "account_in: {key: device}",
            "account_in",
            "the log calls a side of account",
        ),
        (SENT, "where: sent, window: 1h", "features", "write side: out (the sender) or in (the receiver)"),
        (SENT, SENT.replace("out", "inn"), "side", "no side 'inn'; did you mean in?"),
        (ONLINE, f"side: out, {ONLINE}", "side", "sender has no sides; leave it out"),
        (ONLINE, ONLINE.replace("online", "sent"), "where", "sent reads the side; sender has none"),
        (
            "features:\n",
            f"features:\n  - {FIRST}\n",
            "field",
            "on the side out, sender is the account itself; write receiver, or side: in",
        ),
        ("side == 'in'", "side == 'inn'", "filters.received", "no side 'inn'; did you mean in?"),
        ("  channel: {", "  side: {type: key}\n  channel: {", "fields.side", "rename the field"),
        (f"account: {SIDES}", "account: {key: sender}", "filters.sent", "no field 'side'"),
        (
            "entities:\n",
            "profiles: {account: {limit: {type: number}}}\nentities:\n",
            "profiles.account",
            "account has two sides; write the profile of an entity with a key",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, where: str, words: str) -> None:
    text = changed(old, new)
    with pytest.raises(BadConfig) as raised:
        parse_schema(text.encode(), "mine.yaml")
    said = str(raised.value)
    assert words in said
    name, line, column, path = said.split(":")[:4]
    assert name == "mine.yaml"
    assert where in path
    assert text.splitlines()[int(line) - 1][int(column) - 1 :].strip()


def test_a_new_side_means_a_rebuild() -> None:
    old = parse_schema(TEXT.encode(), "old.yaml")
    text = changed(SIDES, "{sides: {out: sender, in: device}, events: 512}").replace(
        "field: sender, window: [24h", "field: device, window: [24h"
    )
    words = "entity account is named by sender (out) or device (in), not sender (out) or receiver (in)"
    found = {one.what: one for one in compare(old, parse_schema(text.encode(), "new.yaml"))}
    assert found[words].effect is Effect.REBUILD


def test_editors_know_the_two_sides() -> None:
    sides = json_schema()["$defs"]["SidesPart"]
    assert set(sides["properties"]) == set(sides["required"]) == {"out", "in"}


def test_suggested_features_are_of_each_side() -> None:
    names = candidates(parse_schema(TEXT.encode(), "transfers.yaml"))
    assert names["count_10m_by_sender_account"]["side"] == "out"
    assert names["count_10m_by_receiver_account"]["side"] == "in"
    assert "sender_is_first_by_receiver_account" in names
    assert "sender_is_first_by_sender_account" not in names
