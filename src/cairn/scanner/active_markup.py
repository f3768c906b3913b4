"""Markup and commands in text that should be plain words."""

from collections.abc import Iterator, Mapping
from re import Pattern
from re import compile as pattern

_MARKUP = {
    "a script": pattern(r"(?i)<script\b"),
    "an event handler": pattern(r"(?i)<[a-z][^<>]{0,500}\son[a-z]{3,20}\s*="),
    "a javascript address": pattern(r"(?i)\bjavascript:"),
    "foreign markup": pattern(r"(?i)<(?:foreignObject|iframe|embed|object)\b"),
    "an entity of its own": pattern(r"<!ENTITY\b"),
}
_COMMANDS = {
    "a shell command": pattern(
        r"(?i)(?:curl|wget)\s[^|;\n]{1,300}\|\s*(?:ba|z)?sh\b|/bin/(?:ba|z)?sh\b|\bbash\s+-[ci]\b"
        r"|\brm\s+-[rf]{2}\b|\$\((?:curl|wget|cat|id|whoami)\b|powershell(?:\.exe)?\s+-"
    ),
    "Python code": pattern(
        r"\bos\.(?:system|popen)\s*\(|\bsubprocess\.\w+\s*\(|__import__\s*\("
        r"|(?:builtins\.|(?<![\w.]))(?:eval|exec)\s*\("
    ),
}


def markup_in(text: str) -> Iterator[tuple[str, int]]:
    """What a browser would act on, and at which character."""
    yield from _found(_MARKUP, text)


def actions_in(text: str) -> Iterator[tuple[str, int]]:
    """What a browser, a shell or Python would act on, and at which character."""
    yield from _found(_MARKUP | _COMMANDS, text)


def commands_in(text: str) -> Iterator[tuple[str, int]]:
    """What a shell or Python would act on, and at which character."""
    yield from _found(_COMMANDS, text)


def python_in(text: str) -> Iterator[tuple[str, int]]:
    """What Python would act on, and at which character."""
    yield from _found({"Python code": _COMMANDS["Python code"]}, text)


def _found(marks: Mapping[str, Pattern[str]], text: str) -> Iterator[tuple[str, int]]:
    for what, mark in marks.items():
        match = mark.search(text)
        if match:
            yield what, match.start()
