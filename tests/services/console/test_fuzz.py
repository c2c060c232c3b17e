"""No request makes the console fail, whatever its path, query, form, cookies and headers; nor does a row."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.http.access import ANYONE
from services.console.app import Console
from services.console.sessions import COOKIE
from tests.services.console.conftest import World, settings_of

TEXT = st.text(max_size=40) | st.integers().map(str)
BYTES = st.binary(max_size=60)
NAMES = st.sampled_from(
    [
        *("label", "token", "key", "next", "after", "show"),
        *("list", "action", "value", "since", "until", "find", "content", "number"),
    ]
) | st.text(max_size=8)
FIELDS = st.dictionaries(NAMES, st.sampled_from(["fraud", "honest", "all"]) | TEXT, max_size=4)
HEADERS = st.dictionaries(
    st.sampled_from([b"accept", b"last-event-id", b"content-type", b"content-length", b"origin", b"range"])
    | st.sampled_from([b"if-none-match", b"if-modified-since", b"x-forwarded-for", b"referer"]),
    st.sampled_from([b"text/html", b"application/json", b"application/x-www-form-urlencoded", b"bytes=0-"])
    | BYTES.filter(lambda value: not {0, 10, 13} & set(value)),
    max_size=4,
)
PLACES = [
    *("/", "/cases/", "/model", "/experiment", "/login", "/logout", "/static/", "/health", "/ready", "/"),
    *("/rules", "/rules/try", "/rules/propose", "/rules/approve", "/lists"),
]


@pytest.fixture(scope="module")
def console(world: World) -> Console:
    made = Console(settings_of(world))
    for decision in world.decisions:
        made.live.take_decision(decision)
    return made


def ask(console: Console, request: httpx.Request) -> int:
    async def send() -> int:
        transport = httpx.ASGITransport(console.app)  # what the application raises, this raises
        return (await transport.handle_async_request(request)).status_code

    return asyncio.run(send())


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_makes_the_console_fail(console: Console, world: World, data: st.DataObject) -> None:
    known = st.sampled_from([one.transaction_id for one in world.decisions[:3]])
    tail = data.draw(st.just("") | TEXT | known | known.map(lambda id_: f"{id_}/label"))
    path = quote(data.draw(st.sampled_from(PLACES)) + tail, safe="/")
    session = console.sessions.begin(ANYONE)
    cookie = data.draw(st.sampled_from([console.sessions.write(session).encode(), None]) | BYTES)
    form = data.draw(FIELDS) | data.draw(st.sampled_from([{}, {"token": console.sessions.token(session)}]))
    headers: dict[bytes, bytes] = data.draw(HEADERS) | {b"host": b"127.0.0.1"}
    if cookie is not None:
        headers[b"cookie"] = COOKIE.encode() + b"=" + cookie
    body: Any = data.draw(st.sampled_from([httpx.QueryParams(form).__str__().encode()]) | BYTES)
    request = httpx.Request(
        data.draw(st.sampled_from(["GET", "POST", "HEAD", "PUT"])),
        f"http://127.0.0.1{path}",
        params=data.draw(FIELDS),
        headers=list(headers.items()),
        content=body,
    )
    status = ask(console, request)
    says_that_kafka_is_away = status == 503 and (path in {"/ready", "/lists"} or path.endswith("/label"))
    assert status < 500 or says_that_kafka_is_away


WRONG = {
    "outcome": pa.array(["perhaps"]),
    "score": pa.array([1.5]),
    "amount": pa.nulls(1, pa.float64()),
    "reasons": pa.array(["{"]),
    "user_id": pa.array([""]),
    "epoch": pa.array([-7]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_of_the_archive_that_is_no_decision_gives_a_page_with_words(
    world: World, tmp_path: Path, name: str
) -> None:
    row = DeltaTable(str(world.folder / "delta" / "decisions")).to_pyarrow_table().slice(0, 1)
    wrong = WRONG[name].cast(row.schema.field(name).type)
    write_deltalake(
        f"{tmp_path}/decisions", row.set_column(row.column_names.index(name), row.schema.field(name), wrong)
    )
    console = Console(settings_of(world, delta=str(tmp_path)))
    (id_,) = row.column("transaction_id").to_pylist()

    async def page() -> httpx.Response:
        transport = httpx.ASGITransport(console.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get(f"/cases/{id_}", headers={"accept": "text/html"})

    answer = asyncio.run(page())
    assert answer.status_code == 404
    assert "not a decision that can be shown" in answer.text
    assert name in answer.text
