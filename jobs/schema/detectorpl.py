"""Translates rule expressions of AWS Fraud Detector (DETECTORPL) to ours (CEL).

::

    $order_price > 500 and $email in $blocked_emails   ->   amount > 500.0 && in_list(email, 'blocked_emails')

Comparisons, ``and``, ``or``, ``not``, ``in`` a list and in ``[...]``, and brackets are translated. Model
scores, functions and arithmetic are not: what they mean there is not what ours would.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<variable>\$[A-Za-z_][A-Za-z0-9_\-]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|<|>|!|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE,
)
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "true": "true", "false": "false", "in": "in"}


class Untranslatable(ValueError):
    """An expression that has no counterpart; says which part of it."""


def translate(text: str, names: Mapping[str, str], lists: Mapping[str, object]) -> str:
    """Translate one expression.

    Parameters
    ----------
    text
        In their language.
    names
        Their variable: our field.
    lists
        Those that there are, under our names.

    Raises
    ------
    Untranslatable
        Naming what has no counterpart.

    Examples
    --------
    >>> translate("$price > 500 and not ($ip in $bad)", {"price": "amount", "ip": "ip"}, {"bad": []})
    "amount > 500.0 && ! ( in_list(ip, 'bad') )"
    """
    tokens = list(_tokens(text))
    found: list[str] = []
    at = 0
    while at < len(tokens):
        kind, token = tokens[at]
        after = tokens[at + 1 : at + 3]
        if (
            kind == "variable"
            and [one for _, one in after[:1]] == ["in"]
            and [k for k, _ in after[1:]] == ["variable"]
        ):
            found.append(f"in_list({_field(token, names)}, '{_list(after[1][1], lists)}')")
            at += 3
            continue
        found.append(_one(kind, token, names))
        at += 1
    if not found:
        raise Untranslatable("it is empty")
    return " ".join(found).replace("[ ", "[").replace(" ]", "]").replace(" ,", ",")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise Untranslatable(f"{text[at:].strip()[:20]!r} has no counterpart")
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


def _one(kind: str, token: str, names: Mapping[str, str]) -> str:
    if kind == "variable":
        return _field(token, names)
    if kind == "number":
        return token if "." in token else f"{token}.0"
    if kind == "text":
        inner = re.sub(r"\\(.)", r"\1", token[1:-1])
        return "'" + inner.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if kind == "word":
        if token.lower() not in _WORDS:
            raise Untranslatable(f"{token} has no counterpart")
        return _WORDS[token.lower()]
    return token


def _field(token: str, names: Mapping[str, str]) -> str:
    name = token[1:]
    if name in names:
        return names[name]
    if name.endswith(("_insightscore", "_score", "_premodelscore")):
        raise Untranslatable(
            f"{token} is a score of 0 to 1000 by rank; ours is a probability: `fraud train` chooses limits"
        )
    raise Untranslatable(f"{token} is no variable of the event type")


def _list(token: str, lists: Mapping[str, object]) -> str:
    name = token[1:].lower().replace("-", "_")
    if name not in lists:
        raise Untranslatable(f"the list {token} is not in the export")
    return name
