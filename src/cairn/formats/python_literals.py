"""Python literals in text from strangers: a small grammar of our own, nothing evaluated.

    value  text | integer | True | False | None | list | tuple | dict
    list   [value, ...]      tuple  (value, ...) with at least one comma, or ()
    dict   {text: value, ...}, every key once

Texts are taken as they stand; escapes in them are not interpreted.
"""

import re
from collections.abc import Iterator

from cairn.errors import MalformedError

Literal = str | int | None | list["Literal"] | tuple["Literal", ...] | dict[str, "Literal"]

_MAX_DEPTH = 16
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<text>'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*")
      | (?P<integer>-?[0-9]{1,20})L?(?![0-9A-Za-z_.])
      | (?P<word>True|False|None)(?![0-9A-Za-z_])
      | (?P<mark>[][(){},:])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS = {"True": True, "False": False, "None": None}
_Token = tuple[str, str]


def parse_literal(text: str, source: str, *, what: str) -> Literal:
    """The value that `text` spells.

    Raises:
        MalformedError: it is anything but one literal; `what` says what was being read.
    """
    parser = _Parser(_tokens(text), f"{what} is not a plain Python literal", source)
    value = parser.value(0)
    parser.expect("end")
    return value


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while match := _TOKEN.match(text, at):
        kind = match.lastgroup or "end"
        yield kind, match[kind]
        if kind == "end":
            return
        at = match.end()
    yield "unknown", text[at : at + 20]


class _Parser:
    """Takes tokens one after the other; the next one can be looked at."""

    def __init__(self, tokens: Iterator[_Token], complaint: str, source: str) -> None:
        self._tokens = tokens
        self._complaint = complaint
        self._source = source
        self._next = next(tokens)

    def value(self, depth: int) -> Literal:
        if depth > _MAX_DEPTH:
            raise self._refusal("nested too deeply")
        kind, text = self._take()
        if kind == "text":
            return text[1:-1]
        if kind == "integer":
            return int(text)
        if kind == "word":
            return _WORDS[text]
        if kind == "mark" and text == "[":
            return self._items("]", depth)[0]
        if kind == "mark" and text == "(":
            items, commas = self._items(")", depth)
            if len(items) == 1 and not commas:
                raise self._refusal("a value in parentheses")
            return tuple(items)
        if kind == "mark" and text == "{":
            return self._dict(depth)
        raise self._refusal(f"unexpected {text!r}")

    def expect(self, kind: str, text: str | None = None) -> str:
        """Take a token that must be this one."""
        found = self._take()
        if found[0] != kind or (text is not None and found[1] != text):
            raise self._refusal(f"unexpected {found[1]!r}")
        return found[1]

    def _items(self, closing: str, depth: int) -> tuple[list[Literal], int]:
        """The values up to a closing mark, and how many commas stood between or after them."""
        items: list[Literal] = []
        commas = 0
        while not self._closes(closing):
            if commas < len(items):
                raise self._refusal("a comma is missing")
            items.append(self.value(depth + 1))
            if self._next == ("mark", ","):
                self._take()
                commas += 1
        return items, commas

    def _dict(self, depth: int) -> dict[str, Literal]:
        found: dict[str, Literal] = {}
        separated = True
        while not self._closes("}"):
            if not separated:
                raise self._refusal("a comma is missing")
            key = self.expect("text")[1:-1]
            if key in found:
                raise self._refusal(f"the key {key[:40]!r} twice")
            self.expect("mark", ":")
            found[key] = self.value(depth + 1)
            separated = self._next == ("mark", ",")
            if separated:
                self._take()
        return found

    def _closes(self, closing: str) -> bool:
        if self._next == ("mark", closing):
            self._take()
            return True
        return False

    def _take(self) -> _Token:
        taken = self._next
        self._next = next(self._tokens, ("end", ""))
        return taken

    def _refusal(self, why: str) -> MalformedError:
        return MalformedError(f"{self._complaint}: {why}", source=self._source)
