"""The page of lists: values that rules look up; who added what, when, why and until.

``GET /lists`` shows; ``POST /lists`` creates a list, adds or removes an entry, with the scope ``rules``.
Follows the topic ``lists``, and writes to it.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from fraud.contracts import Decision
from fraud.decide.list_changes import ListChange
from fraud.decide.lists import ListKind
from fraud.decide.live_lists import LiveLists
from fraud.errors import BadInput, Unavailable
from fraud.http.access import KeyScope
from fraud.runtime.threads import Watch
from fraud.schema.schema import Schema
from services.console.archive import Event, shown_of
from services.console.door import AccessControl, form_of
from services.console.rule_pages import Page, Route

MOST_ENTRIES: Final = 300
"""Of a list that are shown; one that is looked for is found among all."""
LOOK_S: Final = 0.5
SEEN_S: Final = 2.0
"""How long a change may take to come back, seconds; the page shows it later otherwise."""


class ListPages:
    """See the module.

    Parameters
    ----------
    door
        Of the console.
    lists
        That this page changes.
    page
        Renders a template.
    schema
        Of the transactions.
    """

    def __init__(self, door: AccessControl, lists: LiveLists, page: Page, schema: Schema) -> None:
        self._door, self._lists, self._page, self._schema = door, lists, page, schema
        self._watch = Watch("lists", lists.look, LOOK_S)

    def routes(self) -> Sequence[Route]:
        """Name what is served."""
        return (("/lists", self.lists, "GET"), ("/lists", self.change, "POST"))

    @property
    def is_open(self) -> bool:
        """Whether the lists have been read."""
        return self._lists.is_open

    def start(self) -> None:
        """Begin to follow the topic."""
        self._watch.start()

    def stop(self) -> None:
        """End."""
        if self._watch.stop():
            self._lists.close()

    async def lists(self, request: Request) -> Response:
        """Show the lists, or one of them."""
        query = request.query_params
        context = await run_in_threadpool(self._context, query.get("list", ""), query.get("find", "").strip())
        context["may_change"] = self._door.may(request.state.session, KeyScope.RULES)
        return self._page(request, "lists.html", context, 200)

    async def change(self, request: Request) -> Response:
        """Change a list, and go back to where the form was."""
        form = await form_of(request)
        if not self._door.sessions.is_token(request.state.session, form.get("token", "")):
            return self._say(request, "This form is too old. Load the page again.", 403)
        if not self._door.may(request.state.session, KeyScope.RULES):
            return self._say(request, "Your API key lacks the scope `rules`; add it in the keys file.", 403)
        try:
            change = _change_of(form)
            await run_in_threadpool(self._change, change, request.state.session.client)
        except BadInput as error:
            return self._say(request, f"{error}. Nothing was changed.", 422)
        except Unavailable as error:
            return self._say(request, f"{error}. Nothing was changed; try again.", 503)
        case = form.get("case", "")
        to = f"/cases/{quote(case, safe='')}" if case else f"/lists?list={quote(change.list)}"
        return RedirectResponse(to, 303)

    def offered(self, request: Request, decision: Decision, here: Event | None) -> dict[str, Any]:
        """Tell what of a case can be added to which list; nothing where the person may not."""
        if not self._lists.is_open or not self._door.may(request.state.session, KeyScope.RULES):
            return {"lists": [], "choices": []}
        known = {name: getattr(decision, name, None) for name in self._schema.key_names}
        known |= {field.name: here.words.get(field.name) for field in shown_of(self._schema)} if here else {}
        values = [(name, value) for name, value in known.items() if value]
        return {"lists": self._lists.names, "choices": values}

    def _context(self, name: str, find: str) -> dict[str, Any]:
        if not self._lists.is_open:
            words = self._lists.trouble or "The lists are being read. Load the page again."
            return {"trouble_lists": words, "known": [], "name": "", "entries": [], "kinds": list(ListKind)}
        known = self._lists.store.definitions()
        name = name if name in known else ""
        entries = self._lists.store.entries(name) if name else iter(())
        if find:
            entries = (one for one in entries if find.lower() in one["value"].lower())
        return {
            "trouble_lists": self._lists.trouble,
            "known": [(one, str(known[one].kind), bool(known[one].salt)) for one in sorted(known)],
            "name": name,
            "find": find,
            "is_hashed": bool(known[name].salt) if name else False,
            "entries": [
                {**one, "until": datetime.fromtimestamp(one["until"], UTC) if one["until"] else None}
                for one in islice(entries, MOST_ENTRIES)
            ],
            "most": MOST_ENTRIES,
            "kinds": list(ListKind),
        }

    def _change(self, change: ListChange, by: str) -> None:
        if not self._lists.is_open:
            raise Unavailable(self._lists.trouble or "the lists are being read")
        before = self._lists.store.position
        self._lists.change(change, by)
        _wait(lambda: self._lists.store.position > before, self._lists.look)

    def _say(self, request: Request, words: str, status: int) -> Response:
        return self._page(request, "error.html", {"words": words}, status)


def _wait(is_so: Callable[[], bool], look: Callable[[], None]) -> None:
    until = time.monotonic() + SEEN_S
    while not is_so() and time.monotonic() < until:
        look()


def _change_of(form: dict[str, str]) -> ListChange:
    """Read a change.

    Raises
    ------
    BadInput
        Naming the field.
    """
    given: dict[str, Any] = {
        name: form[name] for name in ("list", "action", "value", "kind", "why") if form.get(name)
    }
    if form.get("is_hashed"):
        given["is_hashed"] = True
    if until := form.get("until", "").strip():
        given["until"] = _time(until)
    try:
        return ListChange.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"until: {text!r:.40} is not a time; write it like 2026-12-31T12:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
