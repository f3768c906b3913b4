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

# None of these has two parts without a bound that could match the same: a script of 256 KB made to
# be slow takes a second.
_SHELL = r"(?:ba|z|k|c|da|fi)?sh"
_INTERPRETER = re.compile(
    r"[\s&]*(?:sudo\s+(?:-\S+\s+)*|env\s+(?:[^\s=]+=\S*\s+)*|exec\s+)*(?:[^\s|]*/)?"
    rf"(?:{_SHELL}|(?:python[\d.]*|perl|ruby|node|php)(?=\s*$|\s+-(?:\s|$)|\s*[\"')]))(?![\w./-])"
)
_FETCH = re.compile(r"\b(?:curl|wget|aria2c|fetch)\b")
_DECODE = re.compile(r"\bbase(?:64|32)\s+(?:-\w*d|-D|--decode)\b|\bxxd\s+-\w*r|\brev\s*\Z")
_OPENSSL = re.compile(r"\bopenssl\s+(?:enc|base64)\b"), re.compile(r"\s-d\b")
_RUNS_SUBSTITUTED = re.compile(
    rf"(?:\b{_SHELL}(?:\s+-\S+)*|\beval|\bsource|(?:^|\s)\.|\bpython[\d.]*\s+-c|\bperl\s+-e)\s+"
    r"[\"']?(?:<\(|\$\(|`)"
)
# Each of both, in either order.
_POWERSHELL = (
    re.compile(r"(?i)\b(?:iex|invoke-expression)\b"),
    re.compile(r"(?i)\b(?:iwr|irm|invoke-webrequest|invoke-restmethod)\b|downloadstring"),
)
_ENCODED = (
    re.compile(r"(?i)\bpowershell"),
    re.compile(r"(?i)\s-e(?:nc|ncodedcommand)?\s+[a-z0-9+/=]{16}"),
)
_REMOTE_SHELLS = (
    (re.compile(r"/dev/(?:tcp|udp)/"), re.compile(r"sh\s+-i\b|\bexec\s+\d+<>")),
    (
        re.compile(r"\b(?:nc|ncat|netcat)\b"),
        re.compile(r"\s-\w{0,20}[ec]\s+\S{0,200}(?:sh|cmd\.exe)\b"),
    ),
    (re.compile(r"\bmkfifo\b"), re.compile(r"\|\s*(?:nc|ncat|netcat|openssl)\b")),
    (re.compile(r"\bsocat\b"), re.compile(r"\bexec:")),
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
    if any(_has(pair, text) for pair in _REMOTE_SHELLS):
        yield REMOTE_SHELL
    if _has(_POWERSHELL, text):
        yield FETCHED
    if _has(_ENCODED, text):
        yield DECODED
    for command in simple_commands(text):
        yield from _of_command(command)


def _has(both: tuple[re.Pattern[str], re.Pattern[str]], text: str) -> bool:
    return all(pattern.search(text) for pattern in both)


def _of_command(command: str) -> Iterator[str]:
    """What a command does that is piped into others, or put into its own line."""
    held: set[str] = set()
    for number, part in enumerate(command.split("|")):
        if number and _INTERPRETER.match(part):
            yield from held
        held |= _sources(part)
    if held and _RUNS_SUBSTITUTED.search(command):
        yield from held


def _sources(part: str) -> set[str]:
    """Whether a command fetches or decodes something."""
    fetched = {FETCHED} if _FETCH.search(part) else set[str]()
    decodes = _DECODE.search(part) or _has(_OPENSSL, part)
    return fetched | ({DECODED} if decodes else set())
