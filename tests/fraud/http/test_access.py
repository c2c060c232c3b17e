"""The file of keys, what a key may be used for, and limits that forget."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadConfig
from fraud.http.access import ANYONE, MOST_CLIENTS, Keys, KeyScope, RateLimit
from fraud.http.problems import Problem

DIGEST = hashlib.sha256(b"secret").hexdigest()


def keys_of(folder: Path, text: str) -> Keys:
    file = folder / "keys.yaml"
    file.write_text(text)
    return Keys(file, "0.0.0.0")  # noqa: S104  (nothing listens)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: short",
        "{",
        f"Ä: {{sha256: {DIGEST}, scopes: [score]}}",
        f"a: {{sha256: {DIGEST}}}",
        f"a: {{sha256: {DIGEST}, scopes: []}}",
        f"a: {{sha256: {DIGEST}, scopes: [all]}}",
        f"a: {{sha256: {DIGEST}, scopes: [[score]]}}",
        f"a: {{sha256: {DIGEST}, scopes: score}}",
        f"a: {{sha256: {DIGEST.upper()}, scopes: [score]}}",
        f"a: {{sha256: {DIGEST}, scopes: [score], else: 1}}",
        f"a: {{sha256: {DIGEST}, scopes: [score]}}\nb: {{sha256: {DIGEST}, scopes: [label]}}",
    ],
)
def test_a_wrong_file_of_keys_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfig, match="FRAUD_SCORING_KEYS_FILE"):
        keys_of(tmp_path, text)


def test_a_file_without_scopes_is_refused_with_the_line_to_write(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as caught:
        keys_of(tmp_path, f"gateway: {DIGEST}\n")
    line = str(caught.value).split("`")[1]
    assert keys_of(tmp_path, line).find(b"secret") is not None


@given(scopes=st.sets(st.sampled_from(KeyScope), min_size=1), asked=st.sampled_from(KeyScope))
def test_a_key_may_be_used_for_its_scopes_alone(
    tmp_path_factory: pytest.TempPathFactory, scopes: set[KeyScope], asked: KeyScope
) -> None:
    line = f"gateway: {{sha256: {DIGEST}, scopes: [{', '.join(sorted(scopes))}]}}"
    keys = keys_of(tmp_path_factory.mktemp("keys"), line)
    client = keys.client_of(b"Bearer secret")
    assert client.may(asked) == (asked in scopes or KeyScope.ADMIN in scopes)
    if not client.may(asked):
        with pytest.raises(Problem, match=asked) as caught:
            client.need(asked)
        assert caught.value.status == 403


def test_a_client_is_named_only_with_the_key_that_it_has(tmp_path: Path) -> None:
    line = f"ana: {{sha256: {DIGEST}, scopes: [read]}}"
    ana = keys_of(tmp_path, line).find(b"secret")
    assert ana is not None
    assert ana.key not in DIGEST
    assert keys_of(tmp_path, line).named("ana", ana.key) == ana
    other = keys_of(tmp_path, line.replace(DIGEST, hashlib.sha256(b"new").hexdigest()))
    assert other.named("ana", ana.key) is None
    assert other.named(ANYONE.name, ANYONE.key) is None
    assert Keys(None, "127.0.0.1").named(ANYONE.name, ANYONE.key) == ANYONE


def test_a_client_that_waits_may_send_again() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 1, lambda: now[0])
    limit.take("a")
    limit.take("b")
    with pytest.raises(Problem) as caught:
        limit.take("a")
    assert caught.value.retry_after_s == 1
    now[0] = 0.6
    limit.take("a")


def test_a_limit_remembers_no_more_clients_than_it_may() -> None:
    limit = RateLimit(1e-6, 1, lambda: 0.0)
    for client in range(MOST_CLIENTS + 500):
        limit.take(f"{client}")
    assert len(limit) == MOST_CLIENTS
    with pytest.raises(Problem):
        limit.take(f"{MOST_CLIENTS + 499}")


def test_a_client_that_stands_twice_in_the_keys_file_is_refused_with_its_line(tmp_path: Path) -> None:
    clients = (("shop", "a"), ("bank", "b"), ("shop", "c"))
    text = "".join(f"{name}: {{sha256: {letter * 64}, scopes: [score]}}\n" for name, letter in clients)
    with pytest.raises(BadConfig, match=r"keys\.yaml:3: the key shop is given twice, first in line 1"):
        keys_of(tmp_path, text)
