"""Commands in scripts that run what they fetch or decode, or hand a shell to another machine.

Text is looked at and not parsed: a shell has endless other ways of saying the same, so nothing
found here does not mean that a script is harmless.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# More than any script beside weights; what is longer is not read.
MAX_SCRIPT_BYTES = 256 << 10

FETCHED, DECODED, REMOTE_SHELL = "runs what it fetches", "runs what it decodes", "remote shell"

_CONTINUED = re.compile(r"[\\^`][ \t]*\r?\n")
_COMMENT = re.compile(r"[ \t]*(?:#|::|(?i:rem)\b|//)")
_SEPARATORS = re.compile(r"&&|\|\||;|\n")
_SHELL = r"(?:\S*/)?(?:ba|z|k|c|da|fi)?sh"
_INTERPRETER = re.compile(
    r"[\s&]*(?:sudo\s+(?:-\S+\s+)*|env\s+(?:\S+=\S*\s+)*|exec\s+)*"
    rf"(?:{_SHELL}|(?:\S*/)?(?:python[\d.]*|perl|ruby|node|php)(?=\s*$|\s+-(?:\s|$)|\s*[\"')]))"
    r"(?![\w./-])"
)
_FETCH = re.compile(r"\b(?:curl|wget|aria2c|fetch)\b")
_DECODE = re.compile(
    r"\bbase(?:64|32)\s+(?:-\w*d|-D|--decode)\b|\bxxd\s+-\w*r|\bopenssl\s+(?:enc|base64)\b.*\s-d\b"
    r"|\brev\s*$"
)
_SUBSTITUTED = r"(?:<\(|\$\(|`)\s*(?:sudo\s+)?"
_RUNS_SUBSTITUTED = re.compile(
    rf"(?:{_SHELL}(?:\s+-\S+)*|\beval|\bsource|(?:^|\s)\.|\bpython[\d.]*\s+-c|\bperl\s+-e)\s+"
    rf"[\"']?{_SUBSTITUTED}(?P<inner>.*)"
)
_POWERSHELL = re.compile(
    r"(?i)\b(?:iex|invoke-expression)\b.*(?:\biwr\b|\birm\b|invoke-(?:webrequest|restmethod)"
    r"|downloadstring)|(?:\biwr\b|\birm\b|invoke-(?:webrequest|restmethod)|downloadstring)"
    r".*\|\s*(?:iex|invoke-expression)\b"
)
_ENCODED = re.compile(r"(?i)\bpowershell\S*\s.*-e(?:nc|ncodedcommand)?\s+[a-z0-9+/=]{16,}")
_REMOTE_SHELL = re.compile(
    r"sh\s+-i\b.*/dev/(?:tcp|udp)/|/dev/(?:tcp|udp)/.*sh\s+-i\b"
    r"|\bexec\s+\d+<>\s*/dev/(?:tcp|udp)/"
    r"|\b(?:nc|ncat|netcat)\b.*\s-\w*[ec]\s+\S*(?:sh|cmd\.exe)\b"
    r"|\bmkfifo\b.*\|\s*(?:nc|ncat|netcat|openssl)\b|\bsocat\b.*\bexec:"
)


class Deed(NamedTuple):
    """What a command does, one of the words above; its line, from 1; and how it begins."""

    what: str
    line: int
    text: str


def deeds_in(script: str) -> Iterator[Deed]:
    """What the commands of a script do, in its order."""
    for line, text in commands(script):
        for what in sorted({*_deeds(text)}):
            yield Deed(what, line, text.strip())


def commands(script: str) -> Iterator[tuple[int, str]]:
    """Each line with those that continue it, and its number; comments left out."""
    number = 1
    for text in _CONTINUED.sub("\0", script).split("\n"):
        if not _COMMENT.match(text):
            yield number, text.replace("\0", " ")
        number += 1 + text.count("\0")


def simple_commands(text: str) -> list[str]:
    """The commands of a line one by one, each with what it is piped into."""
    return _SEPARATORS.split(text)


def _deeds(text: str) -> Iterator[str]:
    if _REMOTE_SHELL.search(text):
        yield REMOTE_SHELL
    if _POWERSHELL.search(text):
        yield FETCHED
    if _ENCODED.search(text):
        yield DECODED
    for command in simple_commands(text):
        yield from _of_command(command)


def _of_command(command: str) -> Iterator[str]:
    source, *rest = command.split("|")
    for part in rest:
        if _INTERPRETER.match(part):
            yield from _of_source(source)
        source = f"{source}|{part}"
    substituted = _RUNS_SUBSTITUTED.search(command)
    if substituted:
        yield from _of_source(substituted["inner"])


def _of_source(source: str) -> Iterator[str]:
    if _FETCH.search(source):
        yield FETCHED
    if any(map(_DECODE.search, source.split("|"))):
        yield DECODED
