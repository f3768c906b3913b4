"""Entries of the log as bytes: open ones, and those that hide what they say.

An entry is one JSON object in canonical form (RFC 8785: sorted keys, no white space, UTF-8; it
has no numbers but `v`). An open one says everything:

    {"actor":"ann","at":"2026-11-27T04:08:28.123456Z","details":{"manifest":"sha256:..."},
     "kind":"ref","new":"<commit>","old":null,"ref":"refs/heads/main","repo":"models/ann/m","v":1}

One of a private repo says only that and when something happened:

    {"at":"2026-11-27T04:08:28.123456Z","commitment":"sha256:<hex>","v":1}

The commitment is the SHA-256 of 32 random bytes, the salt, followed by the open form. Whoever
is shown both can check it; without the salt nothing can be learned by guessing names. Two
entries of one repo have nothing in common.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cairn.domain import Entry, LogEvent, LogKind, RepoId, RepoType
from cairn.errors import CairnError, IntegrityError, MalformedError

SALT_BYTES = 32
VERSION = 1
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_COMMITMENT = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Hidden:
    """An entry of which only the time can be read."""

    at: datetime
    commitment: str


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows what a hidden entry says: its salt and its open form."""

    salt: bytes
    content: bytes


def encode(event: LogEvent) -> bytes:
    """The open form of an event."""
    return _canonical(
        {
            "actor": event.actor,
            "at": event.at.astimezone(UTC).strftime(_TIME),
            "details": dict(event.details),
            "kind": event.kind.value,
            "new": event.new,
            "old": event.old,
            "ref": event.ref,
            "repo": event.repo and f"{event.repo.type.plural}/{event.repo.full_name}",
            "v": VERSION,
        }
    )


def hide(event: LogEvent) -> tuple[bytes, Opening]:
    """An entry that commits to an event and does not tell it, and what opens it."""
    opening = Opening(secrets.token_bytes(SALT_BYTES), encode(event))
    at = event.at.astimezone(UTC).strftime(_TIME)
    return _canonical({"at": at, "commitment": _commitment(opening), "v": VERSION}), opening


def decode(entry: bytes) -> LogEvent | Hidden:
    """What an entry says.

    Raises:
        MalformedError: it is no entry of this form, or not in canonical form.
    """
    try:
        fields = json.loads(entry)
        if not isinstance(fields, dict) or _canonical(fields) != entry:
            raise ValueError("is not in canonical form")
        if fields.get("v") != VERSION:
            raise ValueError(f"is of version {fields.get('v')!r}, not {VERSION}")
        return _hidden(fields) if "commitment" in fields else _event(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CairnError) as error:
        raise MalformedError(f"a log entry cannot be read: {error}") from None


def reveal(entry: bytes, opening: Opening) -> LogEvent:
    """What a hidden entry says.

    Raises:
        IntegrityError: the opening is that of another entry.
        MalformedError: entry or content is none.
    """
    said = decode(entry)
    if not isinstance(said, Hidden) or said.commitment != _commitment(opening):
        raise IntegrityError("what is shown is not what this log entry commits to")
    event = decode(opening.content)
    if isinstance(event, Hidden):
        raise MalformedError("a log entry hides another hidden one")
    return event


def manifest_digest(files: Iterable[Entry]) -> str:
    """The digest of what a revision holds, as entries give it: `sha256:<hex>`.

    It is over one line `<SHA-256 of the file> <bytes> <path>` for each file, in order of the
    paths' UTF-8, each line ended by a newline.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path.encode()):
        digest.update(f"{file.blob.digest.hex} {file.blob.size_bytes} {file.path}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _hidden(fields: dict[str, Any]) -> Hidden:
    if set(fields) != {"at", "commitment", "v"} or not _COMMITMENT.match(fields["commitment"]):
        raise ValueError("is hidden and has other fields")
    return Hidden(_time(fields["at"]), fields["commitment"])


def _event(fields: dict[str, Any]) -> LogEvent:
    event = LogEvent(
        kind=LogKind(fields["kind"]),
        repo=None if fields["repo"] is None else _repo(fields["repo"]),
        actor=fields["actor"],
        at=_time(fields["at"]),
        ref=fields["ref"],
        old=fields["old"],
        new=fields["new"],
        details=fields["details"],
    )
    if encode(event) != _canonical(fields):
        raise ValueError("has other fields than version 1")
    return event


def _repo(text: str) -> RepoId:
    kind, _, rest = text.partition("/")
    return RepoId.parse(RepoType.from_plural(kind), rest)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def _commitment(opening: Opening) -> str:
    return f"sha256:{hashlib.sha256(opening.salt + opening.content).hexdigest()}"


def _canonical(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
