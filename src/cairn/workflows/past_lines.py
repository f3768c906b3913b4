"""What a family file says of repos: members below `repos/`, as `docs/family-file.md` has them.

Everything read is a stranger's word: its form is checked here, commit ids by making the commits
again, git's ids of files against their bytes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from cairn.catalog import Arrival, Change, DeleteFile, PastCommit, PutFile, gitobjects
from cairn.domain import Blob, Digest, Ref, RepoId, RepoType, check_name
from cairn.errors import IntegrityError, RequestError
from cairn.formats.strict_json import is_integer, parse_json
from cairn.store import FamilyFile
from cairn.store.family_file import REPOS
from cairn.workflows.past_attachments import attachment_members
from cairn.workflows.repos import SPACE_SDKS

MAX_REPO_BYTES = 16 << 20  # 50,000 refs of 244 bytes
MAX_FILES = 1_000_000  # changed by one commit: some 500 bytes of memory each
PIECE_BYTES = 4 << 20
MAX_PIECE_BYTES = 2 * PIECE_BYTES  # a line has a description of 100,000 characters at most
_MAX_IDENTITY_CHARS = 1000
_LAST_SECOND = 253_402_300_799  # of the year 9999, where Python's dates end

Lines = Iterator[tuple[str, Any]]
"""JSON values of lines, each with the member it is from."""


def repo_key(number: int) -> str:
    """The member that says what a repo is."""
    return f"{REPOS}{number:04}/repo.json"


def history_key(number: int, piece: int) -> str:
    """A member with some of a repo's commits, oldest first."""
    return f"{REPOS}{number:04}/history-{piece:06}.jsonl"


def encode_repo(number: int, arrival: Arrival) -> tuple[str, bytes]:
    """A repo's settings and refs, as a member."""
    said = {
        "type": arrival.id.type.value,
        "namespace": arrival.id.namespace,
        "name": arrival.id.name,
        "private": arrival.private,
        "gated": arrival.gated,
        "sdk": arrival.sdk,
        "safetensors_views": arrival.safetensors_views,
        "refs": {ref.name: ref.commit for ref in arrival.refs},
    }
    return repo_key(number), json.dumps(said, indent=1).encode() + b"\n"


def encode_history(number: int, past: Iterator[PastCommit]) -> Iterator[tuple[str, bytes]]:
    """The commits of a repo, as members of a bounded size."""
    lines, piece = bytearray(), 0
    for commit in past:
        for said in _commit_lines(commit):
            lines += json.dumps(said, separators=(",", ":")).encode() + b"\n"
            if len(lines) >= PIECE_BYTES:
                yield history_key(number, piece), bytes(lines)
                lines.clear()
                piece += 1
    if lines:
        yield history_key(number, piece), bytes(lines)


def _commit_lines(commit: PastCommit) -> Iterator[dict[str, Any]]:
    yield {
        "commit": commit.id,
        "parent": commit.parent,
        "author": commit.author,
        "identity": commit.identity,
        "when": int(commit.when.timestamp()),
        "title": commit.title,
        "description": commit.description,
        "files": len(commit.changes),
    }
    for change in commit.changes:
        if isinstance(change, PutFile):
            yield {
                "path": change.path,
                "sha256": change.blob.digest.hex,
                "size": change.blob.size_bytes,
                "oid": None if change.lfs else change.oid,
            }
        else:
            yield {"path": change.path}


def read_repos(file: FamilyFile) -> list[Arrival]:
    """The repos of a family file, in its order.

    Raises:
        UntrustedDataError: one is not described as it should be, or another member is there.
    """
    found: list[Arrival] = []
    members: set[str] = set()
    while file.objects.exists(key := repo_key(len(found))):
        members |= {key, *_pieces(file, len(found)), *attachment_members(file, len(found))}
        said = parse_json(file.read(key, MAX_REPO_BYTES), file.source.name, what=key)
        with blaming(file, key):
            found.append(_arrival(said))
    strangers = sorted(set(file.keys(REPOS)) - members)
    if strangers:
        raise file.malformed("it belongs to no repo", strangers[0])
    return found


def read_history(file: FamilyFile, number: int) -> Iterator[PastCommit]:
    """The commits of a repo, oldest first; one is in memory at a time.

    Raises:
        UntrustedDataError: a line is not what it should be.
    """
    lines = _lines(file, number)
    for key, said in lines:
        with blaming(file, key):
            count = _number(said, "files", MAX_FILES)
        changes: list[Change] = []
        for member, told in islice(lines, count):
            with blaming(file, member):
                changes.append(_change(told))
        with blaming(file, key):
            if len(changes) != count:
                raise RequestError(f"commit {said.get('commit')!r:.80} is cut short")
            yield _commit(said, tuple(changes))


@contextmanager
def blaming(file: FamilyFile, key: str) -> Iterator[None]:
    """What has a wrong form within is the fault of this member."""
    try:
        yield
    except (IntegrityError, RequestError) as error:
        raise file.malformed(error, key) from None


def _pieces(file: FamilyFile, number: int) -> list[str]:
    found: list[str] = []
    while file.objects.exists(key := history_key(number, len(found))):
        found.append(key)
    return found


def _lines(file: FamilyFile, number: int) -> Lines:
    for key in _pieces(file, number):
        for line in file.read(key, MAX_PIECE_BYTES).splitlines():
            yield key, parse_json(line, file.source.name, what=f"a line of {key}")


def _arrival(said: Any) -> Arrival:
    gated, sdk = _optional(said, "gated"), _optional(said, "sdk")
    if gated not in (None, "auto", "manual"):
        raise RequestError(f"gated is {gated!r:.80}")
    kind = _text(said, "type")
    known = {repo_type.value: repo_type for repo_type in RepoType}
    if kind not in known or (sdk in SPACE_SDKS) != (known[kind] is RepoType.SPACE):
        raise RequestError(f"a repo of type {kind!r:.80} with sdk {sdk!r:.80}")
    refs = said.get("refs")
    if not isinstance(refs, dict) or not all(isinstance(at, str) for at in refs.values()):
        raise RequestError("refs are not names with commits")
    views = said.get("safetensors_views")
    private = said.get("private")
    if views not in (None, True, False) or private not in (True, False):
        raise RequestError("private or safetensors_views is neither true nor false")
    return Arrival(
        RepoId(known[kind], _text(said, "namespace"), _text(said, "name")),
        private=private,
        gated=gated,
        sdk=sdk,
        safetensors_views=views,
        refs=tuple(Ref(name, at) for name, at in refs.items()),
    )


def _commit(said: Any, changes: tuple[Change, ...]) -> PastCommit:
    identity = _text(said, "identity")
    if len(identity) > _MAX_IDENTITY_CHARS or not gitobjects.is_identity(identity):
        raise RequestError(f"identity {identity[:80]!r} is not written as git writes it")
    seconds = _number(said, "when", _LAST_SECOND)
    return PastCommit(
        changes=changes,
        author=check_name(_text(said, "author"), "author"),
        identity=identity,
        title=_text(said, "title"),
        description=_text(said, "description"),
        when=datetime.fromtimestamp(seconds, UTC),
        id=_text(said, "commit"),
        parent=_optional(said, "parent"),
    )


def _change(said: Any) -> Change:
    path = _text(said, "path")
    if "sha256" not in said:
        return DeleteFile(path)
    blob = Blob(Digest.sha256(_text(said, "sha256")), _number(said, "size", (1 << 63) - 1))
    oid = _optional(said, "oid")
    return PutFile.large(path, blob) if oid is None else PutFile.regular(path, blob, oid)


def _text(said: Any, key: str) -> str:
    value = _optional(said, key)
    if value is None:
        raise RequestError(f"{key} is missing")
    return value


def _optional(said: Any, key: str) -> str | None:
    if not isinstance(said, dict):
        raise RequestError("it is not an object")
    value = said.get(key)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{key} is not text")
    return value


def _number(said: Any, key: str, most: int) -> int:
    value = said.get(key) if isinstance(said, dict) else None
    if not isinstance(value, int) or not is_integer(value) or not 0 <= value <= most:
        raise RequestError(f"{key} is not a number of 0 to {most}")
    return value
