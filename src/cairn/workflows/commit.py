"""Adds a revision: turns what a client sent into changes, moves the branch, reads the new card."""

from collections.abc import Sequence
from dataclasses import dataclass

from cairn.catalog import Change, PutFile, RepoRecord, gitobjects
from cairn.domain import Actor, Digest, RepoId, Revision
from cairn.errors import (
    BlobNotFoundError,
    ConflictError,
    LimitError,
    NamingError,
    RequestError,
    RevisionNotFoundError,
)
from cairn.workflows.access import writable
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.quotas import check_committed
from cairn.workflows.upload import claim

MAX_TITLE_CHARS = 1000
MAX_DESCRIPTION_CHARS = 64_000
MAX_CHANGES = 50_000
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Message:
    """What a commit says about itself, and the parent (a prefix of its id) it was made for."""

    title: str
    description: str = ""
    parent: str | None = None

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise RequestError("a commit needs a title: say in a line what it changes")
        if len(self.title) > MAX_TITLE_CHARS or len(self.description) > MAX_DESCRIPTION_CHARS:
            raise LimitError(
                f"a commit title has at most {MAX_TITLE_CHARS} characters,"
                f" a description {MAX_DESCRIPTION_CHARS}"
            )


@dataclass(frozen=True, slots=True)
class Committed:
    """A new revision, and the number of the pull request made for it, if one was asked for."""

    repo: RepoRecord
    revision: Revision
    pull_request: int | None = None


def put_regular(house: House, path: str, content: bytes) -> PutFile:
    """Keep a small file and say how a commit names it."""
    blob = house.store.put_bytes(content)
    return PutFile.regular(path, blob, gitobjects.blob_oid_of(content))


def put_large(
    house: House, record: RepoRecord, path: str, digest: Digest, size_bytes: int | None
) -> PutFile:
    """Name a large file that was uploaded before.

    Raises:
        RequestError: this repo never received it, or its size is another one.
    """
    return PutFile.large(path, claim(house, record, digest, size_bytes))


def branch_ref(house: House, record: RepoRecord, name: str) -> str:
    """The full name of the branch or pull request a client wants to commit to.

    Raises:
        RevisionNotFoundError: there is none of this name.
    """
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    if full == record.default_ref:
        return full
    if full.startswith(("refs/heads/", "refs/pr/")):
        try:
            house.catalog.history.ref(record.uid, full)
        except (RevisionNotFoundError, NamingError):
            pass
        else:
            return full
    raise RevisionNotFoundError(
        f"{name[:200]!r} is not a branch of {record.id.full_name}; create it first"
    )


def commit(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    branch: str,
    changes: Sequence[Change],
    message: Message,
    *,
    create_pr: bool = False,
) -> Committed:
    """Make a revision on a branch, or on a new pull request that starts from it.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
        RevisionNotFoundError: there is no such branch.
        StaleParentError: the branch is not where the client believed it to be.
        EntryNotFoundError, ConflictError: a change does not fit the tree.
        QuotaError: the namespace has no room for the new files.
    """
    record = writable(house, actor, repo_id)
    ref = branch_ref(house, record, branch)
    if create_pr:
        number, ref = _open_pull_request(house, actor, record, ref)
        try:
            revision = _append(house, actor, record, ref, changes, message)
        except Exception:
            house.catalog.history.delete_ref(record.uid, ref, by=actor)
            raise
        return Committed(record, revision, number)
    revision = _append(house, actor, record, ref, changes, message)
    if ref == record.default_ref:
        sync_card(house, record)
    return Committed(record, revision)


def _append(
    house: House,
    actor: Actor,
    record: RepoRecord,
    ref: str,
    changes: Sequence[Change],
    message: Message,
) -> Revision:
    assert actor.account is not None  # writable() saw to it
    blobs = [change.blob for change in changes if isinstance(change, PutFile)]
    check_committed(house, record.id.namespace, blobs)
    _want_again(house, changes)
    return house.catalog.history.commit(
        record.uid,
        ref,
        changes,
        expected_parent=message.parent,
        author=actor.account,
        title=message.title,
        description=message.description,
        when=house.clock(),
    )


def _want_again(house: House, changes: Sequence[Change]) -> None:
    """Begin the blobs' grace period anew: gc may have run while the changes came in.

    Raises:
        ConflictError: it has, with a grace shorter than they took, and removed one of them.
    """
    wanted = {change.blob.digest: change.path for change in changes if isinstance(change, PutFile)}
    for digest, path in wanted.items():
        try:
            house.store.touch(digest)
        except BlobNotFoundError:
            raise ConflictError(
                f"the bytes of {path[:200]!r} were removed by gc before this commit;"
                " send them again"
            ) from None


def _open_pull_request(
    house: House, actor: Actor, record: RepoRecord, base: str
) -> tuple[int, str]:
    start = house.catalog.history.ref(record.uid, base).commit
    for _ in range(_TRIES):
        taken = [ref.name for ref in house.catalog.history.refs(record.uid)]
        numbers = [int(n[8:]) for n in taken if n.startswith("refs/pr/") and n[8:].isdecimal()]
        number = max(numbers, default=0) + 1
        try:
            house.catalog.history.create_ref(record.uid, f"refs/pr/{number}", start, by=actor)
        except ConflictError:  # somebody else took the number just now
            continue
        return number, f"refs/pr/{number}"
    raise ConflictError("too many pull requests are being opened at once; try again")
