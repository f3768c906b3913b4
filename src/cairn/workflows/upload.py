"""Receives large files before a commit names them, and remembers who really sent the bytes.

A SHA-256 is no secret. Whoever only knows one must not gain the file by naming it, so a
repo may use a blob only if this repo received its bytes or already has a revision with it.
Who may fetch the bytes from another repo is spared sending them: that gains nothing.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from cairn.catalog import RepoRecord
from cairn.domain import Actor, Blob, Digest
from cairn.errors import (
    BlobNotFoundError,
    ConflictError,
    EntryNotFoundError,
    IntegrityError,
    RequestError,
)
from cairn.store import BlobWriter
from cairn.workflows.house import House
from cairn.workflows.quotas import Announced, check_announced

_ATTEMPT = re.compile(r"[0-9a-f]{32}\Z")
COPY_BLOCK_BYTES = 4 << 20


def held(house: House, record: RepoRecord, digest: Digest) -> Blob | None:
    """The blob, if this repo may use it without sending it (again).

    It is marked as wanted, so that gc leaves it for the commit that is about to come.
    """
    known = house.catalog.uploads.get(record.uid, digest)
    if known is None and not house.catalog.history.references(record.uid, digest):
        return None
    return _wanted_again(house, record.uid, digest)


def spared(house: House, actor: Actor, record: RepoRecord, digest: Digest) -> Blob | None:
    """The blob, if `actor` need not send it to this repo: it is held, or theirs to read elsewhere.

    From then on this repo may use it as if it had been sent.
    """
    blob = held(house, record, digest)
    if blob is not None or house.catalog.history.readable_blob(actor, digest) is None:
        return blob
    # A damaged blob is asked for again: whoever sends it heals it for all.
    return _wanted_again(house, record.uid, digest) if house.store.has(digest) else None


def _wanted_again(house: House, uid: str, digest: Digest) -> Blob | None:
    """The blob with its grace period and this repo's proof begun anew; None if gc took it."""
    try:
        blob = house.store.touch(digest)
    except BlobNotFoundError:
        return None
    house.catalog.uploads.record(uid, blob)
    return blob


def claim(house: House, record: RepoRecord, digest: Digest, size_bytes: int | None) -> Blob:
    """The blob a commit names by its digest.

    Raises:
        RequestError: this repo never received it, or its size is another one.
    """
    blob = held(house, record, digest)
    if blob is None:
        raise RequestError(
            f"the large file with sha256 {digest.hex} was not uploaded to"
            f" {record.id.full_name}; upload it through LFS or Xet before the commit"
        )
    if size_bytes is not None and size_bytes != blob.size_bytes:
        raise RequestError(
            f"the large file with sha256 {digest.hex} has {blob.size_bytes} bytes, not {size_bytes}"
        )
    return blob


def receive(house: House, uid: str, writer: BlobWriter, expected: Blob) -> Blob:
    """Finish a blob whose bytes went into `writer` and note that this repo sent them.

    Raises:
        IntegrityError: the bytes do not have the expected size or digest; nothing is kept.
        QuotaError: the namespace has no room for them any more.
        RepoNotFoundError: the repo is gone.
    """
    if writer.size_bytes != expected.size_bytes:
        raise IntegrityError(
            f"received {writer.size_bytes} bytes of {expected.digest},"
            f" {expected.size_bytes} were announced: send it again"
        )
    namespace = house.catalog.repos.get_by_uid(uid).id.namespace
    check_announced(house, namespace, [Announced(expected.size_bytes, expected.digest)])
    blob = writer.finish(expected.digest)
    house.catalog.uploads.record(uid, blob)
    return blob


def parts_scope(uid: str, digest: Digest) -> str:
    """Where the parts of one repo's upload of one file are staged."""
    return f"lfs-{uid}-{digest.hex}"


def block_name(part: int, attempt: str, block: int) -> str:
    """The staged object that holds one block of one attempt to send a part.

    Raises:
        RequestError: `attempt` is not an id this hub gave out.
    """
    if not _ATTEMPT.match(attempt):
        raise RequestError(f"part {part}: {attempt[:80]!r} is not an ETag this hub answered")
    return f"{part:05d}-{attempt}-{block:06d}"


def join_parts(house: House, uid: str, expected: Blob, attempts: Sequence[str]) -> Blob:
    """Put the staged parts together, check the whole, and drop them.

    `attempts[i]` is the id under which part `i + 1` was received.

    Raises:
        RequestError: a part is missing.
        IntegrityError: the whole does not have the expected digest or size; nothing is kept.
        ConflictError: the parts went away meanwhile: another request completed this upload.
    """
    known = house.catalog.uploads.get(uid, expected.digest)
    if known is not None and (kept := _wanted_again(house, uid, known.digest)) is not None:
        return kept
    scope = parts_scope(uid, expected.digest)
    staged = sorted(house.store.staging.names(scope))
    with house.store.writer() as writer:
        for part, attempt in enumerate(attempts, 1):
            first = block_name(part, attempt, 0)
            past = f"{first[:-6]}~"  # above every digit
            names = staged[bisect_left(staged, first) : bisect_left(staged, past)]
            if not names:
                raise RequestError(f"part {part} was not received under this ETag; send it again")
            for block in _blocks(house, scope, names):
                writer.write(block)
        blob = receive(house, uid, writer, expected)
    house.store.staging.drop(scope)
    return blob


def _blocks(house: House, scope: str, names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        try:
            with house.store.staging.open(scope, name) as source:
                for at in range(0, source.size_bytes, COPY_BLOCK_BYTES):
                    yield source.read_at(at, COPY_BLOCK_BYTES)
        except EntryNotFoundError:
            raise ConflictError("the parts of this upload are gone; start it again") from None
