"""The page of rules: what they are, what each one did, and publishing them by two people.

``GET /rules`` shows; ``POST /rules/try``, ``/rules/propose``, ``/rules/approve``, ``/rules/reject`` and
``/rules/undo`` act, with the scope ``rules``. Reads the rules file, its audit and the Delta tables; writes
the file and the audit as ``fraud publish`` does.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from fraud.decide.engine import NO_RULES, Rule, RuleSet
from fraud.decide.live_lists import LiveLists
from fraud.decide.past_lists import PastLists
from fraud.decide.rules import read_rules
from fraud.errors import BadConfig, BadInput, BadState, FraudError
from fraud.http.access import ANYONE, KeyScope
from fraud.rules.audit import Entry
from fraud.rules.audit_copies import Copy
from fraud.rules.audit_table import TableCopy
from fraud.rules.audit_topic import TopicCopy
from fraud.rules.backtest import tried
from fraud.rules.effects import RuleEffects
from fraud.rules.history import Range
from fraud.rules.publishing import Publishing, now_utc, open_proposals, waiting
from fraud.rules.report import report
from fraud.rules.words import COLUMNS, heading, together
from fraud.runtime.threads import Watch
from fraud.schema.schema import Schema
from fraud.settings.definition import Stamp, stamp_of
from services.console.door import AccessControl, form_of
from services.console.rule_trial import range_of, try_rules
from services.console.settings import ConsoleSettings

log = logging.getLogger(__name__)
LOOK_S: Final = 1.0
"""Time between two looks for approved rules whose time has come."""
MOST_RULES: Final = 1_000_000
"""Bytes of a form with a rules file."""
SHOWN: Final = 50
"""Records of the audit, the newest."""
Page = Callable[[Request, str, dict[str, Any], int], Response]
Route = tuple[str, Callable[..., Any], str]
_NO_FILE: Final = (
    "No rules file is set. Set FRAUD_CONSOLE_RULES_FILE to the file that stream and service read."
)


class RulePages:
    """See the module.

    Parameters
    ----------
    settings, door
        Of the console.
    lists
        Live lists, for trying rules that read some.
    page
        Renders a template.
    schema
        Of the transactions.
    """

    def __init__(
        self, settings: ConsoleSettings, door: AccessControl, lists: LiveLists, page: Page, schema: Schema
    ) -> None:
        self._settings, self._door, self._lists, self._page = settings, door, lists, page
        self._schema = schema
        self._watch = Watch("approved rules", self.begin_due, LOOK_S)
        self._looked: tuple[Stamp | None, Stamp | None] | None = None
        """Stamps of audit and file when they were read last."""
        self._next_start: datetime | None = None
        """When approved rules begin that waited then."""
        self._lock = threading.Lock()
        self._counted_last: tuple[float, str, RuleEffects] | None = None
        """When the effects of the rules were counted, of which version, and what they are."""

    def routes(self) -> Sequence[Route]:
        """Name what is served."""
        return (
            ("/rules", self.rules, "GET"),
            ("/rules/try", self.try_, "POST"),
            ("/rules/propose", self.propose, "POST"),
            ("/rules/approve", self.approve, "POST"),
            ("/rules/reject", self.reject, "POST"),
            ("/rules/undo", self.undo, "POST"),
        )

    def start(self) -> None:
        """Begin to write approved rules into the file when their time has come."""
        self._watch.start()

    def stop(self) -> None:
        """End."""
        self._watch.stop()

    def begin_due(self) -> None:
        """Write approved rules whose time has come into the file."""
        file = self._settings.rules_file
        if file is None:
            return
        publishing = Publishing(file, "", self._settings.rules_audit)
        looked = stamp_of(publishing.audit.file), stamp_of(file)
        has_begun = self._next_start is not None and self._next_start <= now_utc()
        if looked == self._looked and not has_begun:
            return
        try:
            waits = waiting(publishing.audit.entries(), now_utc())
            if publishing.begin_due():
                log.info("approved rules are in force from now on")
            self._looked, self._next_start = looked, waits[0] if waits else None
        except BadState as error:  # the page shows it
            log.warning("approved rules cannot begin: %s", error)

    async def rules(self, request: Request) -> Response:
        """Show the rules."""
        return await self._show(request)

    async def try_(self, request: Request) -> Response:
        """Try rules on history; nothing is written."""
        form = await form_of(request, MOST_RULES)
        if refused := self._refuse(request, form):
            return refused
        content = _content_of(form)
        chosen: dict[str, Any] = {
            "draft": content,
            "since": form.get("since", ""),
            "until": form.get("until", ""),
        }
        try:
            when = range_of(form, self._settings.rules_days)
            trial = await run_in_threadpool(
                try_rules, content, when, self._settings, self._past(), self._schema
            )
        except FraudError as error:
            return await self._show(request, 422, **chosen, words=str(error))
        return await self._show(request, **chosen, trial=trial)

    async def propose(self, request: Request) -> Response:
        """Propose rules, with what they would have done on history."""
        form = await form_of(request, MOST_RULES)
        if refused := self._refuse(request, form):
            return refused
        content = _content_of(form)

        def act(publishing: Publishing) -> Entry:
            words = self._try(content)
            return publishing.propose(content.encode(), "rules", form.get("note", ""), words)

        return await self._act(request, act, draft=content)

    async def approve(self, request: Request) -> Response:
        """Put the proposal of another person in force, at once or from a time on."""
        form = await form_of(request)
        return self._refuse(request, form) or await self._act(
            request,
            lambda publishing: publishing.approve(_number(form), form.get("note", ""), _starts_of(form)),
        )

    async def reject(self, request: Request) -> Response:
        """Close a proposal."""
        form = await form_of(request)
        return self._refuse(request, form) or await self._act(
            request, lambda publishing: publishing.reject(_number(form), form.get("note", ""))
        )

    async def undo(self, request: Request) -> Response:
        """Put the rules before these in force."""
        form = await form_of(request)
        return self._refuse(request, form) or await self._act(
            request, lambda publishing: publishing.undo(form.get("note", ""))
        )

    async def _act(
        self, request: Request, act: Callable[[Publishing], Entry], *, draft: str | None = None
    ) -> Response:
        publishing = self._publishing(request)
        try:
            await run_in_threadpool(act, publishing)
        except (BadConfig, BadInput, BadState) as error:
            return await self._show(request, 422, draft=draft, words=str(error))
        except OSError as error:
            words = f"{publishing.file} or its audit cannot be written: {error.strerror}"
            return await self._show(request, 503, draft=draft, words=words)
        return RedirectResponse("/rules", 303)

    async def _show(self, request: Request, status: int = 200, **more: Any) -> Response:
        if self._settings.rules_file is None:
            return self._page(request, "rules.html", {"missing": _NO_FILE}, status)
        publishing = self._publishing(request)
        context = await run_in_threadpool(self._context, publishing)
        context["may_publish"] = self._door.may(request.state.session, KeyScope.RULES)
        context["needs_keys"] = request.state.session.client == ANYONE.name
        return self._page(request, "rules.html", {**context, "draft": None, **more}, status)

    def _context(self, publishing: Publishing) -> dict[str, Any]:
        troubles, entries = [], []
        rules, effects = NO_RULES, None
        try:
            rules = read_rules(publishing.file, self._schema)
            effects = self._effects(rules)
        except FraudError as error:
            troubles.append(str(error))
        try:
            entries = publishing.audit.entries()
            publishing.verify()
        except BadState as error:
            troubles.append(str(error))
        content = publishing.file.read_text(errors="replace") if publishing.file.exists() else ""
        return {
            "troubles": troubles,
            "version": rules.version,
            "columns": [(name, words) for name, words, _ in COLUMNS],
            "rules": [_row(rule, effects) for rule in rules.rules],
            "segments": rules.segments,
            "heading": heading(effects) if effects else "",
            "together": together(effects) if effects else "",
            "content": content,
            "proposals": [(one, publishing.diff(one).splitlines()) for one in open_proposals(entries)],
            "later": waiting(entries, now_utc()),
            "entries": list(reversed(entries))[:SHOWN],
            "days": self._settings.rules_days,
        }

    def _effects(self, rules: RuleSet) -> RuleEffects:
        """Tell what the rules did; at most once in ``rules_report_s``."""
        with self._lock:
            now = time.monotonic()
            counted_at, version, effects = self._counted_last or (-math.inf, "", None)
            is_young = now - counted_at < self._settings.rules_report_s
            if effects is not None and version == rules.version and is_young:
                return effects
            when = Range(datetime.now(UTC) - timedelta(days=self._settings.rules_days))
            found = report(rules, self._settings.delta, self._settings.delta_options, when=when)
            self._counted_last = time.monotonic(), rules.version, found
            return found

    def _try(self, content: str) -> str:
        settings = self._settings
        return tried(
            content.encode(),
            "rules",
            settings.delta,
            settings.delta_options,
            days=settings.rules_days,
            past=self._past(),
        )

    def _past(self) -> PastLists | None:
        return PastLists(self._lists.store) if self._lists.is_open else None

    def _publishing(self, request: Request) -> Publishing:
        if self._settings.rules_file is None:
            raise BadInput(_NO_FILE)
        who = request.state.session.client
        return Publishing(self._settings.rules_file, who, self._settings.rules_audit, copies=self._copies())

    def _copies(self) -> Sequence[Copy]:
        settings = self._settings
        if not settings.rules_copies:
            return ()
        topic = TopicCopy(settings.kafka_bootstrap, settings.kafka_options)
        return topic, TableCopy(settings.delta, settings.delta_options)

    def _refuse(self, request: Request, form: dict[str, str]) -> Response | None:
        """Say why nothing is done; None where it may be."""
        words, status = "", 403
        if not self._door.sessions.is_token(request.state.session, form.get("token", "")):
            words = "This form is too old, or too long. Load the page again."
        elif not self._door.may(request.state.session, KeyScope.RULES):
            words = "Your API key lacks the scope `rules`; add it in the keys file."
        elif self._settings.rules_file is None:
            words, status = _NO_FILE, 422
        return self._page(request, "error.html", {"words": words}, status) if words else None


def _row(rule: Rule, effects: RuleEffects | None) -> dict[str, Any]:
    one = effects.of.get(rule.name) if effects else None
    until = datetime.fromtimestamp(rule.expires_s, UTC) if math.isfinite(rule.expires_s) else None
    return {
        "rule": rule,
        "state": str(rule.state),
        "until": until,
        "cells": [write(effects, one) for _, _, write in COLUMNS] if effects and one else [""] * len(COLUMNS),
    }


def _content_of(form: dict[str, str]) -> str:
    return form.get("content", "").replace("\r\n", "\n")


def _starts_of(form: dict[str, str]) -> datetime | None:
    """Read the time that a form names, UTC; None where it names none."""
    text = form.get("starts", "")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError as error:
        raise BadInput(f"{text!r:.40} is not a time; write it like 2026-11-01T12:00") from error


def _number(form: dict[str, str]) -> int:
    text = form.get("number", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(f"{text!r:.40} is not the number of a proposal")
    return int(text)
