"""Chunks of blobs that the store keeps: what a client need not send, if it may read the blob.

A blob that arrived by Xet is remembered as the chunks it came in, in runs of consecutive ones.
A run is a xorb that nobody sent: its name is the root over its chunks, and its bytes are a
range of the blob. By the first chunk of a blob and those whose last integer is divisible by
1024 clients ask (https://huggingface.co/docs/xet/deduplication).

Nothing here is believed of a caller: who may read which blob is looked up each time, and
chunks are hashed again whenever they are read.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from threading import Lock

import numpy as np

from cairn.catalog import ChunkKey, ChunkRun
from cairn.domain import Actor, Blob, Digest
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.hub.xet.hashing import Tree, chunk_name, file_name
from cairn.hub.xet.open_blobs import OpenBlobs
from cairn.hub.xet.staged import MAX_CACHED_TABLES
from cairn.hub.xet.xorb import ChunkTable
from cairn.workflows.house import House

RUN_CHUNKS = 1024  # 64 MiB: a term of a file ends with its run, and an answer holds whole runs
MIN_BLOB_BYTES = 256 * 1024  # asking costs about as much as sending less
MAX_LISTED_RUNS = 2000  # of one blob, 125 GiB from its start: 74 MB in memory and in a transaction
# The smallest chunk clients cut, the last of a file excepted (xet-core, constants.rs).
MIN_CHUNK_BYTES = 8 * 1024
MAX_KEYS_PER_RUN = 16  # an honest run has one
ANSWERED_RUNS = 64  # 4 GiB of file in an answer of 3 MB
GUESSED_RUNS = 16  # 1 GiB in 0.8 MB: more often of no use than an answer
ANSWERED_BLOBS = 4  # the newest: siblings begin alike and go on differently


def remember(house: House, blob: Blob, chunks: Iterable[tuple[bytes, int]]) -> None:
    """Keep which chunks a blob consists of: raw name and plain bytes of each, in order.

    A blob that is small or cut finer than clients do is not worth it.
    """
    if blob.size_bytes < MIN_BLOB_BYTES:
        return
    left = 1 + blob.size_bytes // MIN_CHUNK_BYTES
    runs: list[ChunkRun] = []
    keys: list[ChunkKey] = []
    first_byte = 0
    coming = iter(chunks)
    while len(runs) < MAX_LISTED_RUNS and (part := list(islice(coming, RUN_CHUNKS))):
        left -= len(part)
        if left < 0:
            return
        runs.append(_run(blob.digest, first_byte, part))
        keys += _keys([name for name, _ in part], first_byte)
        first_byte += sum(size for _, size in part)
    house.catalog.chunk_lists.record(blob.digest, runs, keys)


def _keys(names: Sequence[bytes], first_byte: int) -> list[ChunkKey]:
    """By which chunks of a run clients ask for it."""
    asked = islice(filter(is_asked_about, names), MAX_KEYS_PER_RUN)
    first = [] if first_byte else names[:1]
    return [ChunkKey(name, first_byte) for name in (*first, *asked)]


def is_asked_about(name: bytes) -> bool:
    """Whether clients ask for a chunk of this name wherever it stands in a file."""
    return int.from_bytes(name[24:32], "little") % 1024 == 0


def _run(digest: Digest, first_byte: int, chunks: list[tuple[bytes, int]]) -> ChunkRun:
    tree = Tree()
    for name, size in chunks:
        tree.add(name, size)
    names = b"".join(name for name, _ in chunks)
    sizes = np.array([size for _, size in chunks], "<u4").tobytes()
    return ChunkRun(digest, first_byte, tree.root(), names, sizes)


class Known:
    """What one caller may build on; may be used from several threads.

    `reader` is None where nobody may build on anything.
    """

    def __init__(self, house: House, reader: Actor | None) -> None:
        self._house = house
        self._reader = reader
        self._blobs = OpenBlobs(house.store)
        self._runs: OrderedDict[bytes, tuple[ChunkRun, ChunkTable]] = OrderedDict()
        self._used: set[Digest] = set()
        self._lock = Lock()
        self.read_bytes = 0

    def runs_with(self, chunk: bytes) -> list[ChunkRun]:
        """Runs around a chunk that clients ask about, of a few blobs; none if it is unknown."""
        if self._reader is None:
            return []
        hits = self._house.catalog.chunk_lists.with_key(chunk, self._reader, ANSWERED_BLOBS)
        return self._runs_of(hits, ANSWERED_RUNS)

    def runs_from(self, uids: Sequence[str]) -> list[ChunkRun]:
        """Runs of a few blobs of repos the caller may open, those that were of use lately."""
        if self._reader is None:
            return []
        digests = self._house.catalog.chunk_lists.of_repos(uids, ANSWERED_BLOBS)
        return self._runs_of([(digest, 0) for digest in digests], GUESSED_RUNS)

    def _runs_of(self, places: Sequence[tuple[Digest, int]], limit: int) -> list[ChunkRun]:
        """Runs of blobs that are in order, each from a place on, evenly as many of each."""
        sound = [place for place in places if self._house.store.has(place[0])]
        found: dict[bytes, ChunkRun] = {}
        for digest, first_byte in sound:
            runs = self._house.catalog.chunk_lists.runs(digest, first_byte, limit // len(sound))
            found.update((run.xorb, run) for run in runs)
        return list(found.values())

    def holds_file(self, digest: Digest, name: bytes) -> bool:
        """Whether the caller may read this blob, and its chunks are those of the file `name`.

        Then they are the same bytes: they were hashed when the list was made.
        """
        house = self._house
        if self._reader is None or not house.store.has(digest):
            return False
        if house.catalog.history.readable_blob(self._reader, digest) is None:
            return False
        tree = Tree()
        for run in house.catalog.chunk_lists.runs(digest, 0, MAX_LISTED_RUNS):
            for chunk, size in table_of(run).chunks(0, run.chunks):
                tree.add(chunk, size)
        return file_name(tree) == name

    def table(self, xorb: bytes) -> ChunkTable | None:
        """The chunks of a run by its name; None if it is unknown to this caller.

        The blob counts as used: no gc takes it before the file is made.
        """
        found = self._find(xorb)
        return None if found is None else found[1]

    def fill(self, xorb: bytes, start: int, stop: int, out: memoryview) -> bool:
        """Put the bytes of chunks `start` to `stop` (exclusive) of a run into `out`.

        Returns whether the run is (still) known to this caller.

        Raises:
            IntegrityError: the blob is damaged; nothing is built on it from now on.
        """
        found = self._find(xorb)
        if found is None:
            return False
        run, table = found
        before = table.plain_bytes(0, start) if start else 0
        try:
            with self._blobs.reading(run.digest) as blob:
                out[:] = blob.read_at(run.first_byte + before, len(out))
            _check(table, start, stop, out, run.digest)
        except BlobNotFoundError:
            return False
        except IntegrityError:
            self._house.catalog.chunk_lists.forget(run.digest)
            raise
        with self._lock:
            self.read_bytes += len(out)
        return True

    def close(self) -> None:
        """Let go of the blobs that were read, and note that they were of use."""
        self._blobs.close()
        if self._used:
            self._house.catalog.chunk_lists.note_use(self._used)

    def _find(self, xorb: bytes) -> tuple[ChunkRun, ChunkTable] | None:
        with self._lock:
            if xorb in self._runs:
                self._runs.move_to_end(xorb)
                return self._runs[xorb]
        if self._reader is None:
            return None
        run = self._house.catalog.chunk_lists.run(xorb, self._reader)
        if run is None or not self._still_kept(run.digest):
            return None
        found = run, table_of(run)
        with self._lock:
            self._runs[xorb] = found
            if len(self._runs) > MAX_CACHED_TABLES:
                self._runs.popitem(last=False)
        return found

    def _still_kept(self, digest: Digest) -> bool:
        if digest in self._used:
            return True
        if not self._house.store.has(digest):
            return False
        try:
            self._house.store.touch(digest)
        except BlobNotFoundError:
            return False
        self._used.add(digest)
        return True


def table_of(run: ChunkRun) -> ChunkTable:
    """The chunk table of a run; it is stored as it is, in a blob."""
    ends = np.cumsum(np.frombuffer(run.sizes, "<u4"), dtype=np.uint32)
    return ChunkTable(run.xorb, run.names, ends, ends)


def _check(table: ChunkTable, start: int, stop: int, data: memoryview, digest: Digest) -> None:
    """Hash chunks that were read from a blob again: its bytes may have decayed."""
    for name, view in _cut(table, start, stop, data):
        if chunk_name(view) != name:
            raise IntegrityError(
                f"blob {digest} is not what it was: a chunk of it has another hash."
                " Run the upload again, and `cairn store repair` here"
            )


def _cut(
    table: ChunkTable, start: int, stop: int, data: memoryview
) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    for name, size in table.chunks(start, stop):
        yield name, data[at : at + size]
        at += size
