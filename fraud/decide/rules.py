"""Rules around the model: a YAML file of expressions in CEL, compiled once; no Python is evaluated.

::

    version: "2026-11-24"
    lists:
      stolen_devices: [device-1, device-2]
    rules:
      - name: stolen_device
        when: in_list(device_id, 'stolen_devices')
        then: decline                      # decline, review or approve
        reason: the device is reported as stolen
        expires: 2026-12-31T00:00:00Z      # optional

An expression may read the fields of a transaction, every feature by its name, ``score`` (the model's), and
``in_list(value, 'list')``. A comparison with something that is missing is unknown, and three-valued logic
decides what that means: ``true || unknown`` is true, ``false && unknown`` is false, on either side;
everything else that needs the unknown value is unknown, also its negation. A rule holds only where its
expression is true. Of several rules that hold, decline goes before approve, approve before review, review
before the model; an approval never overrules a decline.

What an expression costs is bounded by what it may contain: 2,000 characters, no loop (``all()``, ``map()``
and so on), patterns as texts that compile quickly.
"""

import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fraud.contracts import Outcome, Reason
from fraud.errors import BadConfig
from fraud.features import FEATURE_NAMES
from fraud.schema.arrow import TIME, transaction_columns
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE, MONEY_NAMES
from fraud.settings.definition import Stamp, line_of, parse_definition, stamp_of

log = logging.getLogger(__name__)

MOST_RULES: Final = 500
FIELDS: Final = (
    *(
        column.name
        for column in transaction_columns(deployed_schema())
        if column.type != TIME and column.name not in MONEY_NAMES
    ),
    *((AMOUNT_BASE,) if deployed_schema().money else ()),
)
_TEXTS: Final = frozenset(
    column.name for column in transaction_columns(deployed_schema()) if pa.types.is_string(column.type)
)
_NAMES: Final = frozenset({*FIELDS, *FEATURE_NAMES, "score"})
_SAMPLES: Final = (1.5, 1e9, -1e9)
_TEXT: Final = re.compile(
    r"""//[^\n]*                                      # a comment
    |(?:[rR][bB]?|[bB][rR])(?:'''.*?'''|'[^'\n]*')  # raw: a backslash is a backslash
    |(?:[rR][bB]?|[bB][rR])(?:DDD.*?DDD|"[^"\n]*")
    |'''(?:\\.|[^\\])*?'''|'(?:\\.|[^'\\\n])*'
    |DDD(?:\\.|[^\\])*?DDD|"(?:\\.|[^"\\\n])*\"""".replace("DDD", '"' * 3),
    re.DOTALL | re.VERBOSE,
)
"""Comments and texts of CEL."""
_LOOP: Final = re.compile(r"\b(all|exists|exists_one|map|filter)\s*\(")
_PATTERN: Final = re.compile(r"\bmatches\s*\((?:\s*\x00(\d+)\x00\s*\))?")
MOST_PATTERNS: Final = 5
MOST_PATTERN_S: Final = 0.0005
"""Of one pattern: it is compiled at every evaluation."""
_STRENGTH: Final = (Outcome.DECLINE, Outcome.APPROVE, Outcome.REVIEW)


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    when: str = Field(min_length=1, max_length=2_000)
    then: Literal["decline", "review", "approve"]
    reason: str = Field(min_length=1, max_length=300)
    expires: AwareDatetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, max_length=64)
    lists: dict[str, list[str]] = {}
    rules: list[_Rule] = Field(max_length=MOST_RULES)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    name: str
    when: str
    outcome: Outcome
    reason: Reason
    expires_s: float
    """Unix time; infinity: never."""
    program: Any
    reads: tuple[str, ...]


class RuleSet:
    """The rules of one file; may be used by several threads.

    Parameters
    ----------
    version
        The file's own, with the beginning of its content's hash.
    rules
        In the file's order.
    lists
        Values by list.
    """

    def __init__(self, version: str, rules: Sequence[Rule], lists: Mapping[str, frozenset[str]]) -> None:
        self.version = version
        self.rules = tuple(rules)
        self._lists = lists
        self._reads = tuple(sorted({name for rule in rules for name in rule.reads}))

    def holding(self, values: Mapping[str, Any], now_s: float) -> list[Rule]:
        """Find the rules that hold.

        Parameters
        ----------
        values
            Fields, features and score by name; None and NaN are missing.
        now_s
            Unix time.
        """
        if not self.rules:
            return []
        read = {name: values.get(name) for name in self._reads}
        there = {name: value for name, value in read.items() if value is not None and value == value}  # noqa: PLR0124  NaN
        context = _context(self._lists, there)
        return [rule for rule in self.rules if now_s < rule.expires_s and _holds(rule, context, there)]


def _holds(rule: Rule, context: Any, there: Mapping[str, Any]) -> bool:
    try:
        return bool(rule.program.execute(context))
    except Exception:
        # CEL fails where an unknown value decides; with all values there, the rule is wrong. Types were
        # tried when it was compiled; one wrong rule must not stop a decision.
        if all(name in there for name in rule.reads):
            log.exception("rule %s fails and does not hold", rule.name)
        return False


def overrule(decided: Outcome, holding: Sequence[Rule]) -> tuple[Outcome, list[Reason]]:
    """Apply the rules that hold to what the model decided.

    Returns
    -------
    tuple
        The outcome, and the reasons of the rules that made it.
    """
    for outcome in _STRENGTH:
        theirs = [rule.reason for rule in holding if rule.outcome is outcome]
        if theirs and not (outcome is Outcome.REVIEW and decided is Outcome.DECLINE):
            return outcome, theirs
    return decided, []


NO_RULES: Final = RuleSet("none", (), {})


def read_rules(file: Path) -> RuleSet:
    """Read and compile a file of rules.

    Raises
    ------
    BadConfig
        With the file's line, the rule and the reason; keep the rules that you have.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadConfig(f"rules {file}: {error.strerror}") from error
    return compile_rules(raw, file.name)


def compile_rules(raw: bytes, name: str = "rules") -> RuleSet:
    r"""Compile rules; see :func:`read_rules`.

    Examples
    --------
    >>> compile_rules(b"version: a\\nrules:\\n- {name: x, when: 'amout > 1.0', then: review, reason: r}\\n")
    Traceback (most recent call last):
    ...
    fraud.errors.BadConfig: rules:3: x: there is no 'amout'; did you mean amount?
    """
    parsed, tree = parse_definition(_File, raw, name)
    lists = {key: frozenset(values) for key, values in parsed.lists.items()}
    rules = []
    for at, rule in enumerate(parsed.rules):
        try:
            rules.append(_compile(rule, lists))
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            line = line_of(tree, ("rules", at, "when"))
            raise BadConfig(f"{name}:{line}: {rule.name}: {_first_line(error)}") from error
    names = [rule.name for rule in rules]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice:
        line = line_of(tree, ("rules", len(names) - 1 - names[::-1].index(twice)))
        raise BadConfig(f"{name}:{line}: {twice}: a rule of this name stands above")
    return RuleSet(f"{parsed.version}+{hashlib.sha256(raw).hexdigest()[:8]}", rules, lists)


def _compile(rule: _Rule, lists: Mapping[str, frozenset[str]]) -> Rule:
    import cel  # noqa: PLC0415  (in the images that decide; the stream's has it not)

    program = cel.compile(rule.when)
    _check_cost(rule.when)
    reads = tuple(sorted(program.variables()))
    for name in reads:
        if name not in _NAMES:
            from difflib import get_close_matches  # noqa: PLC0415

            near = get_close_matches(name, _NAMES, n=1)
            raise ValueError(f"{name!r} does not exist" + (f"; did you mean {near[0]}?" if near else ""))
    # Types show only when it runs: it runs once now, over values like those that will come.
    for number in _SAMPLES:  # several, as `a && b` does not look at b where a is false
        values = {name: "x" if name in _TEXTS else number for name in reads}
        found = program.execute(_context(lists, values))
        if not isinstance(found, bool):
            raise TypeError(f"must be true or false, not {found!r}")
    return Rule(
        name=rule.name,
        when=rule.when,
        outcome=Outcome(rule.then),
        reason=Reason(code=f"rule_{rule.name}", text=rule.reason),
        expires_s=rule.expires.timestamp() if rule.expires else math.inf,
        program=program,
        reads=reads,
    )


def _context(lists: Mapping[str, frozenset[str]], values: dict[str, Any]) -> Any:
    import cel  # noqa: PLC0415

    context = cel.Context()
    context.add_function("in_list", partial(_in_list, lists))
    context.update(values)
    return context


def _in_list(lists: Mapping[str, frozenset[str]], value: str, name: str) -> bool:
    if name not in lists:
        raise ValueError(f"there is no list {name!r}")
    return value in lists[name]


def _check_cost(when: str) -> None:
    """Refuse what may take long to evaluate; CEL itself has no limit.

    Raises
    ------
    ValueError
        Naming the part.
    """
    texts: list[str] = []

    def take(found: re.Match[str]) -> str:
        if found[0].startswith("//"):
            return " "
        texts.append(found[0])
        return f"\x00{len(texts) - 1}\x00"

    bare = _TEXT.sub(take, when)
    loop = _LOOP.search(bare)
    if loop:
        raise ValueError(
            f"{loop[1]}() is a loop, and loops are not allowed; write `value in [...]` or in_list()"
        )
    patterns = _PATTERN.findall(bare)
    if len(patterns) > MOST_PATTERNS:
        raise ValueError(f"{len(patterns)} calls of matches(); at most {MOST_PATTERNS}")
    for place in patterns:
        if not place:
            raise ValueError("matches() takes its pattern as a text, e.g. user_id.matches('^test-')")
        _check_pattern(texts[int(place)])


def _check_pattern(literal: str) -> None:
    import cel  # noqa: PLC0415

    program, seconds = cel.compile(f"''.matches({literal})"), math.inf
    for _ in range(3):
        started = thread_time()
        program.execute({})
        seconds = min(seconds, thread_time() - started)
    if seconds > MOST_PATTERN_S:
        raise ValueError(
            f"the pattern {literal} takes {seconds * 1e3:.1f} ms to compile; at most "
            f"{MOST_PATTERN_S * 1e3:g} ms: use [0-9] and [a-z] in place of \\d and \\w, and short repeats"
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]


class RuleFile:
    """A file of rules that may change while the service runs.

    Parameters
    ----------
    file
        None: there are no rules.

    Raises
    ------
    BadConfig
        When it is wrong at the start.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen = self._stamp()
        self.rules = read_rules(file) if file else NO_RULES
        self.refused = ""
        """Why the file as it is now was refused; empty: it is in force."""
        self.since = datetime.now(UTC)

    def look(self) -> bool:
        """Take the file in if it has changed; True when it has other rules now.

        A wrong one is refused, with its reason in ``refused``: the rules that were in force stay.
        """
        stamp = self._stamp()
        if self._file is None or stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.rules = read_rules(self._file)
        except BadConfig as error:
            self.refused = str(error)
            return False
        self.refused, self.since = "", datetime.now(UTC)
        return True

    def _stamp(self) -> Stamp | None:
        return stamp_of(self._file) if self._file else None
