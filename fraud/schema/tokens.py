"""Reading of the small languages that people write, token by token: conditions, expressions, rules."""

import re
from collections.abc import Iterator


class TokenReader:
    """Walks through the tokens of a text; a reader of a language is one.

    Parameters
    ----------
    text
        What people have written.
    pattern
        Of one token after blanks; the group that matches names its kind, ``sign`` among them.
    refusal
        What is raised, with words.
    what
        Names the text, e.g. ``condition``.
    hint
        Follows the words on a character without meaning.
    """

    def __init__(
        self, text: str, pattern: re.Pattern[str], refusal: type[ValueError], what: str, hint: str = ""
    ) -> None:
        self._refusal, self._what, self._hint = refusal, what, hint
        self._tokens = list(self._read(text, pattern))
        self._at = 0

    def _take(self, sign: str) -> bool:
        """Go past a sign, if it stands here."""
        if self._tokens[self._at][:2] != ("sign", sign):
            return False
        self._at += 1
        return True

    def _next(self) -> tuple[str, str, int]:
        """Go past a token, and return its kind, its text and its place."""
        token = self._tokens[self._at]
        if token[0] == "end":
            raise self._refusal(f"the {self._what} ends too early")
        self._at += 1
        return token

    def _read(self, text: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, str, int]]:
        at = 0
        while text[at:].strip():
            found = pattern.match(text, at)
            if found is None or found.lastgroup is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise self._refusal(f"{text[at]!r} at character {at + 1} has no meaning here{self._hint}")
            kind = found.lastgroup
            yield kind, found[kind], found.start(kind)
            at = found.end()
        yield "end", "", len(text)
