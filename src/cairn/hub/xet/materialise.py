"""How verified files become ordinary blobs: chunks decoded ahead, hashed and kept once.

Decompression runs in helper threads a few blocks ahead of the thread that hashes and
writes, so memory stays constant whatever the size of the file. The store's writer checks
the SHA-256 and makes the blob durable; only then is it recorded as this repo's upload.
"""

import os
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

from cairn.domain import Blob
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.hub.xet.hashing import to_text
from cairn.hub.xet.known import remember
from cairn.hub.xet.staged import Staged, StagedFile, StagedTerm
from cairn.hub.xet.verification import FilePlan
from cairn.hub.xet.xorbs import Xorbs
from cairn.store import BlobWriter
from cairn.workflows.house import House

BLOCK_BYTES = 4 * 1024 * 1024
BLOCKS_AHEAD = 3  # per file; a block holds its stored and its plain bytes
FILES_AT_ONCE = 4  # many small files wait for the disk, not for the processor

Progress = Callable[[int], None]
# One read: a xorb's raw name, the span of chunks in it, and how many plain bytes they are.
_Piece = tuple[bytes, int, int, int]


class Inflight:
    """Keeps two requests from making the same file at the same time.

    A client that loses patience sends its shard again while the first is still at work:
    the second then waits and finds everything done.
    """

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[Lock, int]] = {}
        self._guard = Lock()

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Wait until nobody else holds `key`, then hold it."""
        with self._guard:
            lock, users = self._locks.get(key, (Lock(), 0))
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                _, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = lock, users - 1


def materialise(
    house: House,
    repo_uid: str,
    staged: Staged,
    xorbs: Xorbs,
    plans: Sequence[FilePlan],
    inflight: Inflight,
    progress: Progress = lambda _: None,
) -> bool:
    """Make every planned file a durable blob that this repo may commit.

    Returns whether anything was written, rather than known already. `progress` gets the
    plain bytes finished since its last call, from several threads.

    Raises:
        IntegrityError: the bytes of a file have another SHA-256 than the shard says, or a
            staged xorb or a blob it is made of was damaged.
        NotStagedError: a xorb has gone since it was verified.
    """

    def make(plan: FilePlan) -> bool:
        with inflight.hold((repo_uid, plan.name, plan.sha256)):
            if _known(house, repo_uid, staged, plan):
                progress(plan.size_bytes)
                return False
            blob = _write(house, xorbs, plan, decoders, progress)
            house.catalog.uploads.record(repo_uid, blob)
            remember(house, blob, _chunks(plan.terms, xorbs))
            staged.put_file(plan.name, StagedFile(blob, plan.terms))
            return True

    with (
        ThreadPoolExecutor(os.cpu_count() or 1, "xet-decode") as decoders,
        ThreadPoolExecutor(FILES_AT_ONCE, "xet-write") as writers,
    ):
        futures = [writers.submit(make, plan) for plan in plans]
        try:
            written = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return any(written)


def _known(house: House, repo_uid: str, staged: Staged, plan: FilePlan) -> bool:
    """Whether this very file was made before in this scope, and is still kept."""
    before = staged.find_file(plan.name)
    if before is None or plan.sha256 not in (None, before.blob.digest):
        return False
    try:
        house.store.touch(before.blob.digest)
    except BlobNotFoundError:
        return False
    house.catalog.uploads.record(repo_uid, before.blob)
    return True


def _chunks(terms: Sequence[StagedTerm], xorbs: Xorbs) -> Iterator[tuple[bytes, int]]:
    for term in terms:
        yield from xorbs.table(term.xorb).chunks(term.start, term.stop)


def _write(
    house: House, xorbs: Xorbs, plan: FilePlan, decoders: Executor, progress: Progress
) -> Blob:
    ahead: deque[Future[memoryview]] = deque()
    with house.store.writer() as writer:

        def write_next() -> None:
            block = ahead.popleft().result()
            writer.write(block)
            progress(len(block))

        try:
            for pieces in _blocks(plan.terms, xorbs):
                ahead.append(decoders.submit(_decode, xorbs, pieces))
                if len(ahead) > BLOCKS_AHEAD:
                    write_next()
            while ahead:
                write_next()
            return _finish(writer, plan)
        finally:
            for future in ahead:
                future.cancel()


def _finish(writer: BlobWriter, plan: FilePlan) -> Blob:
    try:
        return writer.finish(plan.sha256)
    except IntegrityError as error:
        raise IntegrityError(
            f"file {to_text(plan.name)} does not have the SHA-256 its shard states: {error}"
        ) from None


def _blocks(terms: Sequence[StagedTerm], xorbs: Xorbs) -> Iterator[list[_Piece]]:
    """The reads that make up a file, in groups of about `BLOCK_BYTES` plain bytes."""
    block: list[_Piece] = []
    size_bytes = 0
    for term in terms:
        table = xorbs.table(term.xorb)
        for start, stop in table.split(term.start, term.stop, BLOCK_BYTES):
            plain_bytes = table.plain_bytes(start, stop)
            if block and size_bytes + plain_bytes > BLOCK_BYTES:
                yield block
                block, size_bytes = [], 0
            block.append((term.xorb, start, stop, plain_bytes))
            size_bytes += plain_bytes
    if block:
        yield block


def _decode(xorbs: Xorbs, pieces: list[_Piece]) -> memoryview:
    out = memoryview(bytearray(sum(piece[3] for piece in pieces)))
    at = 0
    for xorb, start, stop, plain_bytes in pieces:
        xorbs.fill(xorb, start, stop, out[at : at + plain_bytes])
        at += plain_bytes
    return out
