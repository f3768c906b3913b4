"""Credentials by their published forms, checked where the form carries a checksum.

Forms: https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
and the vendors' own pages. What is found is shown by its first characters only.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import log2
from re import Match
from re import compile as pattern

# Bits per character below which a token is an example such as `hf_xxxxxxxx`.
_LEAST_BITS = 2.5
_SHOWN_CHARS = 6
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_FORMS = {
    "AWS access key": r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    "Hugging Face token": r"(?:hf_|api_org_)[A-Za-z0-9]{34}",
    "GitHub token": r"gh[pousr]_[A-Za-z0-9]{36}",
    "GitHub fine-grained token": r"github_pat_[A-Za-z0-9_]{82}",
    "OpenAI key": (
        r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{16,160}T3BlbkFJ[A-Za-z0-9_-]{16,160}"
    ),
    "OpenAI key of older form": r"sk-[A-Za-z0-9]{48}",
    "Anthropic key": r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,120}",
    "Google API key": r"AIza[A-Za-z0-9_-]{35}",
    "GitLab token": r"glpat-[A-Za-z0-9_-]{20}",
    "Slack token": r"xox[abeprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}",
    "Cairn token": r"cairn_[A-Za-z0-9_-]{43}",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "Stripe key": r"[rs]k_live_[A-Za-z0-9]{24,99}",
    "private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=\s:,-]{40,}",
}
_ALL = pattern(
    r"(?<![A-Za-z0-9_])(?:"
    + "|".join(f"(?P<f{at}>{form})" for at, form in enumerate(_FORMS.values()))
    + ")"
)
_FAMILIES = tuple(_FORMS)
_WITH_CHECKSUM = ("GitHub token", "npm token")

# One of these stands in every form: most text has none and is not searched further.
_MARKS = (
    *("AKIA", "ASIA", "hf_", "api_org_", "sk-", "AIza", "glpat-", "xox", "npm_", "k_live_"),
    *("PRIVATE KEY", "github_pat_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "cairn_"),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """One that was found: which, at which character, and what may be shown of it."""

    family: str
    at: int
    shown: str


def credentials_in(text: str) -> Iterator[Credential]:
    """The credentials in a text."""
    if not any(mark in text for mark in _MARKS):
        return
    for found in _ALL.finditer(text):
        family = _FAMILIES[int(str(found.lastgroup)[1:])]
        if _is_real(family, found):
            shown = found[0][:_SHOWN_CHARS]
            yield Credential(family, found.start(), f"{shown}... ({len(found[0])} characters)")


def _is_real(family: str, found: Match[str]) -> bool:
    token = found[0]
    if family in _WITH_CHECKSUM:
        # https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
        body, checksum = token[:-6], token[-6:]
        return _base62(zlib.crc32(body[4:].encode())) == checksum
    return _bits_per_character(token) >= _LEAST_BITS


def _base62(number: int) -> str:
    text = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text


def _bits_per_character(text: str) -> float:
    shares = [text.count(char) / len(text) for char in set(text)]
    return -sum(share * log2(share) for share in shares)
