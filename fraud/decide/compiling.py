"""Rules around the model: a YAML file of expressions in CEL, compiled once; no Python is evaluated.

::

    version: "2026-11-24"
    lists:
      stolen_devices: [device-1, device-2]
      bad_networks: live                   # changes beside this file: `fraud lists`
    rules:
      - name: stolen_device
        when: in_list(device_id, 'stolen_devices')
        then: decline                      # decline, approve, challenge or review
        reason: the device is reported as stolen
        expires: 2026-12-31T00:00:00Z      # optional, as all that follows
        starts: 2026-12-01T00:00:00Z       # in force from then on
        state: live                        # draft, shadow, live or retired
        share: 10 %                        # of the primary entities (users); for the others it is in shadow
        tags: [stolen]
        queue: devices                     # where the case goes
        score_floor: 0.8                   # decide as if the model's score were at least this
        guard:                             # `fraud rules guard` sends the rule back to shadow beyond these
          precision_at_least: 20 %         # of matured hits
          hits_at_most_per_day: 500
    segments:                              # optional: thresholds of their own; the first that holds counts
      - name: travel_large
        when: category == 'travel' && amount >= 500.0   # anything but the score
        review: 0.2                        # calibrated probabilities of fraud
        challenge: 0.5                     # optional
        decline: 0.9
        starts: 2026-12-01T00:00:00Z       # optional, as `expires`

An expression may read the fields of a transaction, every feature by its name, ``score`` (the model's),
``in_list(value, 'list')``, and ``has_tag('tag')``: whether a live rule above applied and gave the tag. A
comparison with something that is missing is unknown, and three-valued logic decides what that means:
``true || unknown`` is true, ``false && unknown`` is false, on either side; everything else that needs the
unknown value is unknown, also its negation. A rule holds only where its expression is true. What goes before
what stands in ``fraud.decide.overruling``.

What an expression costs is bounded by what it may contain: 2,000 characters, no loop (``all()``, ``map()``
and so on), patterns as texts that compile quickly.
"""

import hashlib
import logging
import math
import re
from collections.abc import Container, Iterator, Sequence
from time import thread_time
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.contracts.score import Probability
from fraud.decide.engine import NO_GUARD, Guard, Rule, RuleSet, RuleState, Segment
from fraud.decide.values import SCORE, Lists, Vocabulary, context_of, vocabulary_of
from fraud.decide.vectorise import vectorise
from fraud.errors import BadConfig
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.settings.definition import line_of, parse_definition
from fraud.settings.names import suggest

MOST_RULES: Final = 500
MOST_SEGMENTS: Final = 200
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
_HAS_TAG: Final = re.compile(r"\bhas_tag\s*\((?:\s*\x00(\d+)\x00\s*\))?")
_OF_OURS: Final = re.compile(
    r"Function '\w+' error: Python function call failed: \w+: (.*)\. Check function arguments .*"
)
"""What the library makes of an error of our own functions."""
MOST_PATTERNS: Final = 5
MOST_PATTERN_S: Final = 0.0005
"""Of one pattern: it is compiled at every evaluation."""


def _check_word(text: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]{0,63}", text):
        raise ValueError("a name has 1 to 64 of a-z, 0-9 and _, and begins with a letter")
    return text


def _check_share(text: str) -> str:
    if not re.fullmatch(r"(\d{1,2}(\.\d{1,6})?|100) ?%", text):
        raise ValueError("a share is written like 10 % or 0.5 %, and is at most 100 %")
    return text


_Word = Annotated[str, AfterValidator(_check_word)]
_Share = Annotated[str, AfterValidator(_check_share)]


class _Guard(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    precision_at_least: _Share | None = None
    hits_at_most_per_day: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.precision_at_least is None and self.hits_at_most_per_day is None:
            raise ValueError("the guard has no bound; give precision_at_least or hits_at_most_per_day")
        return self


class _Part(BaseModel):
    """What a rule and a segment have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Word
    when: str = Field(min_length=1, max_length=2_000)
    expires: AwareDatetime | None = None
    starts: AwareDatetime | None = None

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.starts is not None and self.expires is not None and self.starts >= self.expires:
            raise ValueError("it expires before it starts")
        return self


class _Segment(_Part):
    review: Probability
    challenge: Probability | None = None
    decline: Probability

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.thresholds()
        return self

    def thresholds(self) -> Thresholds:
        return Thresholds(review=self.review, challenge=self.challenge, decline=self.decline)

    @property
    def words(self) -> str:
        steps = {"review": self.review, "challenge": self.challenge, "decline": self.decline}
        return ", ".join(f"{name} from {bound:g}" for name, bound in steps.items() if bound is not None)


class _Rule(_Part):
    then: Literal["decline", "approve", "challenge", "review"] | None = None
    reason: str = Field(min_length=1, max_length=300)
    state: RuleState = RuleState.LIVE
    share: _Share = "100 %"
    tags: tuple[_Word, ...] = Field(default=(), max_length=8)
    queue: _Word | None = None
    score_floor: float | None = Field(default=None, ge=0.0, le=1.0)
    guard: _Guard | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.then is None and self.queue is None and self.score_floor is None and not self.tags:
            raise ValueError("the rule has no effect; give one of then, tags, queue, score_floor")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, max_length=64)
    lists: dict[str, list[str] | Literal["live"]] = {}
    rules: list[_Rule] = Field(max_length=MOST_RULES)
    segments: list[_Segment] = Field(default=[], max_length=MOST_SEGMENTS)


def compile_rules(raw: bytes, name: str = "rules", schema: Schema | None = None) -> RuleSet:
    r"""Compile rules; see :func:`read_rules`.

    Parameters
    ----------
    raw
        The file's content.
    name
        Of the file, for errors.
    schema
        Whose fields and features they read; by default the deployment's.

    Examples
    --------
    >>> compile_rules(b"version: a\\nrules:\\n- {name: x, when: 'amout > 1.0', then: review, reason: r}\\n")
    Traceback (most recent call last):
    ...
    fraud.errors.BadConfig: rules:3: x: 'amout' does not exist; did you mean amount?
    """
    schema = schema or deployed_schema()
    parsed, tree = parse_definition(_File, raw, name)
    lists = {key: frozenset(values) for key, values in parsed.lists.items() if values != "live"}
    live = frozenset(parsed.lists) - frozenset(lists)
    known = {**lists, **dict.fromkeys(live, frozenset[str]())}
    _check_names(parsed, name, tree)
    _check_lists(parsed, name, tree)
    rules, segments, tags = [], [], set[str]()
    for kind, at, part in _parts(parsed):
        try:
            if isinstance(part, _Segment):
                segments.append(_segment(part, known, tags, schema))
            elif part.state is not RuleState.RETIRED:
                rules.append(_rule(part, known, tags, schema))
            if isinstance(part, _Rule):
                tags.update(part.tags)
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            line = line_of(tree, (kind, at, "when"))
            raise BadConfig(f"{name}:{line}: {part.name}: {_first_line(error)}") from error
    version = f"{parsed.version}+{hashlib.sha256(raw).hexdigest()[:8]}"
    return RuleSet(version, rules, lists, live_lists=live, source=raw, segments=segments, schema=schema)


def _parts(parsed: _File) -> Iterator[tuple[str, int, _Rule | _Segment]]:
    """Give rules and segments with their places in the file."""
    yield from (("rules", at, rule) for at, rule in enumerate(parsed.rules))
    yield from (("segments", at, segment) for at, segment in enumerate(parsed.segments))


def _check_names(parsed: _File, file: str, tree: Any) -> None:
    seen = set[str]()
    for kind, at, part in _parts(parsed):
        if part.name in seen:
            line = line_of(tree, (kind, at))
            raise BadConfig(
                f"{file}:{line}: {part.name}: a rule or a segment above has this name already; choose another"
            )
        seen.add(part.name)


def _check_lists(parsed: _File, file: str, tree: Any) -> None:
    for key, values in parsed.lists.items():
        if values == "live" or len(values) == len(set(values)):
            continue
        first = dict[str, int]()
        for at, value in enumerate(values):
            if value in first:
                line, before = (line_of(tree, ("lists", key, place)) for place in (at, first[value]))
                raise BadConfig(
                    f"{file}:{line}: lists.{key}: {value!r:.60} is given twice, first in line {before}"
                )
            first[value] = at


def _compile(part: _Part, lists: Lists, tags: Container[str], schema: Schema) -> dict[str, Any]:
    """Compile an expression, and check it; gives what a rule has of it.

    Parameters
    ----------
    tags
        That rules above give, whatever their state.
    """
    import cel  # noqa: PLC0415  (in the images that decide)

    logging.getLogger("cel").setLevel(logging.ERROR)  # it tells each failure; the engine tells a rule once
    program = cel.compile(part.when)
    bare, texts = _without_texts(part.when)
    _check_cost(bare, texts)
    _check_tags(bare, texts, tags)
    reads, vocabulary = tuple(sorted(program.variables())), vocabulary_of(schema)
    _check_reads(reads, vocabulary.names)
    # Types show only when it runs: it runs once now, over values like those that will come.
    for number in _SAMPLES:  # several, as `a && b` does not look at b where a is false
        values = {name: _sample(name, number, vocabulary) for name in reads}
        found = program.execute(context_of(lists, values, tags if number > 0.0 else ()))
        if not isinstance(found, bool):
            raise TypeError(f"must be true or false, not {found!r}")
    return {
        "name": part.name,
        "when": part.when,
        "expires_s": part.expires.timestamp() if part.expires else math.inf,
        "starts_s": part.starts.timestamp() if part.starts else -math.inf,
        "program": program,
        "reads": reads,
        "question": vectorise(part.when, schema),
    }


def _rule(rule: _Rule, lists: Lists, tags: Container[str], schema: Schema) -> Rule:
    return Rule(
        **_compile(rule, lists, tags, schema),
        reason=Reason(code=f"rule_{rule.name}", text=rule.reason),
        outcome=Outcome(rule.then) if rule.then else None,
        state=rule.state,
        share=_share(rule.share),
        tags=rule.tags,
        queue=rule.queue,
        score_floor=rule.score_floor,
        guard=_guard(rule.guard),
    )


def _segment(segment: _Segment, lists: Lists, tags: Container[str], schema: Schema) -> Segment:
    compiled = _compile(segment, lists, tags, schema)
    if SCORE in compiled["reads"]:
        raise ValueError("a segment cannot read the score; its thresholds are compared with it")
    reason = Reason(code=f"segment_{segment.name}", text=f"thresholds of {segment.name}: {segment.words}")
    return Segment(Rule(**compiled, reason=reason, outcome=None), segment.thresholds())


def _share(text: str) -> float:
    return float(text.rstrip(" %")) / 100.0


def _guard(given: _Guard | None) -> Guard:
    if given is None:
        return NO_GUARD
    precision = given.precision_at_least
    return Guard(_share(precision) if precision else None, given.hits_at_most_per_day)


def _sample(name: str, number: float, known: Vocabulary) -> str | bool | float:
    if name in known.texts:
        return "x"
    return number > 0.0 if name in known.flags else number


def _check_reads(names: Sequence[str], known: frozenset[str]) -> None:
    for name in names:
        if name not in known:
            listed = "`fraud features list` lists the features, `fraud schema show` the fields"
            raise ValueError(f"{name!r} does not exist; {suggest(name, sorted(known), listed)}")


def _without_texts(when: str) -> tuple[str, list[str]]:
    """Take the texts out of an expression, and leave their numbers between NULs."""
    texts: list[str] = []

    def take(found: re.Match[str]) -> str:
        if found[0].startswith("//"):
            return " "
        texts.append(found[0])
        return f"\x00{len(texts) - 1}\x00"

    return _TEXT.sub(take, when), texts


def _check_tags(bare: str, texts: Sequence[str], given: Container[str]) -> None:
    """Refuse a tag that no rule above gives.

    Raises
    ------
    ValueError
        Naming the tag.
    """
    for place in _HAS_TAG.findall(bare):
        if not place:
            raise ValueError("has_tag() takes the tag as a text, e.g. has_tag('large')")
        tag = texts[int(place)][1:-1]
        if tag not in given:
            raise ValueError(f"no rule above gives the tag {tag!r}; a rule reads the tags of rules above it")


def _check_cost(bare: str, texts: Sequence[str]) -> None:
    """Refuse what may take long to evaluate; CEL itself has no limit.

    Raises
    ------
    ValueError
        Naming the part.
    """
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
    line = str(error).splitlines()[0]
    own = _OF_OURS.fullmatch(line)
    return own[1] if own else line[:300]
