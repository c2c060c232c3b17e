"""Publishing rules by two people: one proposes, another one approves; every step is in the audit.

Reads and writes the file that the programs follow (``FRAUD_RULES_FILE``), the audit beside it, and its copies
where there are some (``fraud.rules.audit_copies``). Where the file was changed in another way (by hand, by a
commit), it no longer is what the audit says: ``fraud audit verify`` fails until it has been proposed and
approved too, or the published rules are written again.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from operator import itemgetter
from pathlib import Path
from typing import Final

from fraud.decide.compiling import compile_rules
from fraud.errors import BadConfig, BadInput, BadState, Unavailable
from fraud.rules.audit import Audit, Entry, Writer
from fraud.rules.audit_copies import Copy, bring, differences
from fraud.runtime.files import write_durably

log = logging.getLogger(__name__)
NONE_YET: Final = b'version: "none-published"\nrules: []\n'
"""Rules before any were published."""


def now_utc() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Publishing:
    """One rules file and its audit.

    Parameters
    ----------
    file
        The rules that the programs follow; written by whoever approves.
    who
        Name of the person who acts; the caller has checked the right.
    audit
        Who published what; default: ``<file>.audit.jsonl``.
    copies
        Of the audit, which get every record.
    tell
        Takes what a person should know: that a copy does not have the newest records yet.
    now
        Tells the time.
    """

    def __init__(
        self,
        file: Path,
        who: str,
        audit: Path | None = None,
        *,
        copies: Sequence[Copy] = (),
        tell: Callable[[str], None] = log.warning,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        self.file, self.who, self._now = file, who, now
        self.audit = Audit(audit or audit_of(file))
        self._copies, self._tell = copies, tell

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        """Hold the audit for one change, and bring its copies to where it is then."""
        with self.audit.writing() as writer:
            yield writer
            try:
                bring(self._copies, writer.entries)
            except (Unavailable, BadState) as error:  # what was done stands; an undo must not wait for Kafka
                self._tell(f"warning: the copies of the audit lack its newest records: {error}")

    def propose(self, content: bytes, name: str, note: str = "", tried: str = "") -> Entry:
        """Propose rules.

        Parameters
        ----------
        content
            Of the file.
        name
            Of the file, for errors.
        note, tried
            Kept with the proposal; ``tried`` is what a backtest told.

        Raises
        ------
        BadConfig
            When they do not compile.
        """
        rules = compile_rules(content, name)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise BadConfig(f"{name}: not UTF-8: {error.reason}") from error
        with self._writing() as writer:
            return writer.append(
                self.who,
                "proposed",
                rules.version,
                base=_hash(self._live()),
                content=text,
                note=note,
                tried=tried,
            )

    def approve(self, number: int, note: str = "", starts: datetime | None = None) -> Entry:
        """Put a proposal in force; by another person than who proposed.

        Parameters
        ----------
        starts
            From when on the rules are in force; None: at once. Until then :meth:`undo` takes it back.

        Raises
        ------
        BadInput
            When it may not be: unknown, closed, one's own, made for a file that has changed since, or while
            another one waits for its time; when the time is past.
        """
        with self._writing() as writer:
            self._see_that_none_waits(writer.entries)
            if starts is not None and starts <= self._now():
                raise BadInput(f"{_moment(starts)} is in the past; leave the time out to begin at once")
            proposal = _open_proposal(writer.entries, number)
            if proposal.by == self.who:
                raise BadInput(f"{self.who} has proposed {number} and cannot approve it; another person must")
            if proposal.base != _hash(self._live()):
                raise BadInput(f"the rules have changed since {number} was proposed; propose them again")
            version = compile_rules(proposal.content.encode(), f"proposal {number}").version
            self._record_what_was(writer)
            entry = writer.append(self.who, "approved", version, proposal=number, note=note, starts=starts)
            if starts is None:
                self._write(proposal.content)
        return entry

    def _see_that_none_waits(self, entries: list[Entry]) -> None:
        if later := waiting(entries, self._now()):
            starts, entry = later
            raise BadInput(
                f"proposal {entry.number} is approved and begins at {_moment(starts)}; wait, or take it back "
                "by `fraud publish undo`"
            )

    def _record_what_was(self, writer: Writer) -> None:
        """Keep the rules that the first publication replaces; none, where there is no file or a wrong one."""
        if in_force(writer.entries, self._now()):
            return
        content, note = self._live(), "in force before the first publication"
        try:
            version, text = compile_rules(content, self.file.name).version, content.decode()
        except (BadConfig, UnicodeDecodeError):
            version, text = compile_rules(NONE_YET).version, NONE_YET.decode()
        writer.append(self.who, "recorded", version, content=text, note=note)

    def reject(self, number: int, note: str = "") -> Entry:
        """Close a proposal; also the person who made it may."""
        with self._writing() as writer:
            proposal = _open_proposal(writer.entries, number)
            return writer.append(self.who, "rejected", proposal.version, proposal=number, note=note)

    def undo(self, note: str = "") -> Entry:
        """Put the rules in force that were so before the last ones; one person is enough, as it is urgent.

        Where an approval waits for its time, it is taken back, and the rules stay.

        Raises
        ------
        BadInput
            When there are none.
        """
        with self._writing() as writer:
            published = in_force(writer.entries, self._now())
            if waiting(writer.entries, self._now()):
                before = published[-1]
            elif len(published) < 2:
                raise BadInput("there are no published rules before these")
            else:
                before = published[-2]
            entry = writer.append(
                self.who, "undone", before.version, proposal=before.number, content=before.content, note=note
            )
            self._write(before.content)
        return entry

    def guard(self, content: bytes, note: str) -> Entry:
        """Put rules in force of which one went back to shadow by the guard that it states.

        Raises
        ------
        BadState
            When the file is not what was published last.
        """
        with self._writing() as writer:
            verify(self.audit, self.file, self._now())
            version = compile_rules(content, self.file.name).version
            text = content.decode()
            self._record_what_was(writer)
            entry = writer.append(
                self.who, "guarded", version, base=_hash(self._live()), content=text, note=note
            )
            self._write(text)
        return entry

    def restore(self) -> str:
        """Write the published rules where the file holds other ones; returns their version."""
        with self._writing() as writer:
            published = in_force(writer.entries, self._now())
            if not published:
                raise BadInput("no rules have been published yet")
            self._write(published[-1].content)
            return published[-1].version

    def begin_due(self) -> bool:
        """Write the rules whose time has come since the file was written; True when it did so.

        A file that was changed in another way is left to :meth:`verify`.
        """
        if not self._is_due(self.audit.entries()):
            return False
        with self._writing() as writer:
            if not self._is_due(writer.entries):  # another program has done so
                return False
            self._write(in_force(writer.entries, self._now())[-1].content)
        return True

    def _is_due(self, entries: list[Entry]) -> bool:
        now = self._now()
        began = [entry.starts for entry in entries if entry.starts and entry.starts <= now]
        if not began:
            return False
        moments = max(began) - timedelta(microseconds=1), now
        before, wanted = ([one.content.encode() for one in in_force(entries, at)[-1:]] for at in moments)
        return [self._live()] == before != wanted

    def verify(self) -> list[Entry]:
        """Check the chain, and that the file is what was published last.

        Raises
        ------
        BadState
            When it is not.
        """
        return verify(self.audit, self.file, self._now())

    def troubles(self) -> list[str]:
        """Say what is wrong with the audit: a broken chain, another file, copies that differ."""
        try:
            entries = self.verify()
        except BadState as error:
            return [str(error)]
        found = []
        for copy in self._copies:
            try:
                found += [one.words for one in differences(copy.name, copy.records(), entries)]
            except Unavailable as error:
                found.append(f"{copy.name}: {error}")
        return found

    def diff(self, proposal: Entry) -> str:
        """Tell what a proposal changes in the rules that are in force."""
        old, new = self._live().decode(errors="replace"), proposal.content
        lines = unified_diff(
            old.splitlines(), new.splitlines(), "in force", f"proposal {proposal.number}", lineterm=""
        )
        return "\n".join(lines)

    def _live(self) -> bytes:
        return self.file.read_bytes() if self.file.exists() else b""

    def _write(self, content: str) -> None:
        write_durably(self.file, content.encode())


def audit_of(file: Path) -> Path:
    """Name the audit of a rules file."""
    return file.with_name(f"{file.name}.audit.jsonl")


def verify(audit: Audit, file: Path, at: datetime | None = None) -> list[Entry]:
    """See :meth:`Publishing.verify`; needs no key."""
    entries = audit.entries()
    published = in_force(entries, at)
    if not published:
        return entries
    content = file.read_bytes() if file.exists() else b""
    if _hash(content) != _hash(published[-1].content.encode()):
        raise BadState(
            f"{file} is not what was published last, {published[-1].version}: it was changed in another way; "
            "propose it and have it approved, or write the published rules again by `fraud publish restore`"
        )
    return entries


def in_force(entries: Sequence[Entry], at: datetime | None = None) -> list[Entry]:
    """Give the proposals that are published and not undone at a time (default: now), the newest last."""
    at = at or now_utc()
    return [entry for begins, entry in _approved(entries) if begins <= at]


def waiting(entries: Sequence[Entry], at: datetime) -> tuple[datetime, Entry] | None:
    """Give the approved proposal that is not in force yet, and its time; None where there is none."""
    later = [(begins, entry) for begins, entry in _approved(entries) if begins > at]
    return later[-1] if later else None


def _approved(entries: Sequence[Entry]) -> list[tuple[datetime, Entry]]:
    """Give what is published and not undone, in the order in which it is in force, each with its time."""
    by_number = {entry.number: entry for entry in entries}
    found: list[tuple[datetime, Entry]] = []
    for entry in entries:
        if entry.action == "approved":
            found.append((entry.starts or entry.at, by_number[entry.proposal]))
        elif entry.action in {"guarded", "recorded"}:
            found.append((entry.at, entry))
        elif entry.action == "undone":
            found.pop()
        found.sort(key=itemgetter(0))
    return found


def open_proposals(entries: list[Entry]) -> list[Entry]:
    """Give the proposals that wait for another person."""
    closed = {entry.proposal for entry in entries if entry.action in {"approved", "rejected"}}
    return [entry for entry in entries if entry.action == "proposed" and entry.number not in closed]


def _open_proposal(entries: list[Entry], number: int) -> Entry:
    found = {entry.number: entry for entry in open_proposals(entries)}
    if number not in found:
        known = ", ".join(map(str, found)) or "none"
        raise BadInput(f"no proposal {number} waits for approval; these wait: {known}")
    return found[number]


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
