"""What a scope has staged: verified xorbs with their chunk tables, and verified files.

    xorb-{hash}  chunks as uploaded | names 32 x n | stored ends u32 x n | plain ends u32 x n
                 | "cairnxrb" | n u32 | length of the chunks u32
    file-{hash}  SHA-256[32] | size u64 | terms x { xorb[32] | start u32 | stop u32 | plain u32 }

All numbers are little-endian. A xorb and its table are one object, so one cannot exist
without the other. Everything here was verified before it was staged.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cairn.domain import Blob, Digest, Source
from cairn.errors import IntegrityError, MalformedError, NotFoundError
from cairn.hub.xet.hashing import NAME_BYTES, to_text
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.xorb import ChunkTable, decode
from cairn.store import Staging

_MAGIC = b"cairnxrb"
_TRAILER = struct.Struct("<8sII")
_FILE_HEADER = struct.Struct("<32sQ")
_TERM = np.dtype([("xorb", "u1", NAME_BYTES), ("start", "<u4"), ("stop", "<u4"), ("plain", "<u4")])
_TABLE_ROW_BYTES = NAME_BYTES + 8

MAX_CACHED_TABLES = 128  # of at most 320 KiB each


class NotStagedError(MalformedError):
    """A xorb is named that was not uploaded in this scope, or is not there any more."""


@dataclass(frozen=True, slots=True)
class StagedTerm:
    """A verified run of chunks: `start` to `stop` (exclusive) of a staged xorb."""

    xorb: bytes
    start: int
    stop: int
    plain_bytes: int


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A verified file: the blob it became and the chunks it was made of."""

    blob: Blob
    terms: tuple[StagedTerm, ...]


class Staged:
    """The staged objects of one scope; may be used from several threads."""

    def __init__(self, staging: Staging, scope: Scope) -> None:
        self._staging = staging
        self._scope = scope.staging_name
        self._tables: OrderedDict[bytes, ChunkTable] = OrderedDict()
        self._lock = Lock()

    def has_xorb(self, name: bytes) -> bool:
        """Whether the xorb with this raw name is staged."""
        return self._staging.has(self._scope, _xorb_key(name))

    def put_xorb(self, table: ChunkTable, chunks: memoryview) -> None:
        """Keep a verified xorb: its table and the bytes of its chunks."""
        self._staging.put(self._scope, _xorb_key(table.xorb), _pack_xorb(table, chunks))

    def table(self, name: bytes) -> ChunkTable:
        """The chunk table of a staged xorb.

        Raises:
            NotStagedError: it is not staged in this scope.
            IntegrityError: what was kept about it cannot be read.
        """
        with self._lock:
            known = self._tables.get(name)
            if known is not None:
                self._tables.move_to_end(name)
                return known
        table = self._read_table(name)
        with self._lock:
            self._tables[name] = table
            if len(self._tables) > MAX_CACHED_TABLES:
                self._tables.popitem(last=False)
        return table

    def read(self, name: bytes, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` (exclusive) of a staged xorb.

        Raises:
            NotStagedError: it is not staged in this scope.
            IntegrityError: it has fewer bytes than it had.
        """
        with self._open_xorb(name) as source:
            data = source.read_at(start, stop - start)
        if len(data) != stop - start:
            raise IntegrityError(f"staged xorb {to_text(name)} is cut short")
        return data

    def fill(self, name: bytes, start: int, stop: int, out: memoryview) -> None:
        """Put the plain bytes of chunks `start` to `stop` (exclusive) of a xorb into `out`.

        Raises:
            NotStagedError: it is not staged in this scope.
            IntegrityError: it is damaged.
        """
        stored = self.read(name, *self.table(name).stored_span(start, stop))
        try:
            decode(memoryview(stored), out)
        except MalformedError as error:
            raise IntegrityError(f"staged xorb {to_text(name)} is damaged: {error}") from None

    def stream(self, name: bytes, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        """Bytes `start` to `stop` (exclusive) of a staged xorb, in blocks.

        Raises, when the first block is asked for:
            NotFoundError: it is not staged in this scope.
            IntegrityError: it has fewer bytes than it had.
        """
        missing = NotFoundError(f"xorb {to_text(name)} is not staged any more")
        with self._open(_xorb_key(name), missing) as source:
            for at in range(start, stop, block_bytes):
                wanted = min(block_bytes, stop - at)
                block = source.read_at(at, wanted)
                if len(block) != wanted:
                    raise IntegrityError(f"staged xorb {to_text(name)} is cut short")
                yield block

    def put_file(self, name: bytes, file: StagedFile) -> None:
        """Keep what a verified file was made of."""
        self._staging.put(self._scope, _file_key(name), _pack_file(file))

    def file(self, name: bytes) -> StagedFile:
        """The verified file with this raw name.

        Raises:
            NotFoundError: none was verified in this scope.
            IntegrityError: what was kept about it cannot be read.
        """
        missing = NotFoundError(f"no file {to_text(name)} was uploaded to this repo recently")
        with self._open(_file_key(name), missing) as source:
            raw = source.read_at(0, source.size_bytes)
        return _unpack_file(raw)

    def find_file(self, name: bytes) -> StagedFile | None:
        """The same, or None where there is none."""
        try:
            return self.file(name)
        except NotFoundError:
            return None

    @contextmanager
    def _open(self, key: str, missing: Exception) -> Iterator[Source]:
        with ExitStack() as stack:
            try:
                source = stack.enter_context(self._staging.open(self._scope, key))
            except NotFoundError:
                raise missing from None
            yield source

    def _open_xorb(self, name: bytes) -> AbstractContextManager[Source]:
        missing = NotStagedError(
            f"xorb {to_text(name)} was not uploaded to this repo, or too long ago",
            hint="Run the upload again",
        )
        return self._open(_xorb_key(name), missing)

    def _read_table(self, name: bytes) -> ChunkTable:
        broken = IntegrityError(f"the chunk table of staged xorb {to_text(name)} is damaged")
        with self._open_xorb(name) as source:
            at = source.size_bytes - _TRAILER.size
            if at < 0:
                raise broken
            magic, count, chunk_bytes = _TRAILER.unpack(source.read_at(at, _TRAILER.size))
            if magic != _MAGIC or chunk_bytes + count * _TABLE_ROW_BYTES != at:
                raise broken
            rows = source.read_at(chunk_bytes, at - chunk_bytes)
        names_bytes = count * NAME_BYTES
        ends = np.frombuffer(rows, "<u4", offset=names_bytes)
        return ChunkTable(name, rows[:names_bytes], ends[:count], ends[count:])


def _xorb_key(name: bytes) -> str:
    return f"xorb-{to_text(name)}"


def _file_key(name: bytes) -> str:
    return f"file-{to_text(name)}"


def _pack_xorb(table: ChunkTable, chunks: memoryview) -> Iterable[bytes | memoryview]:
    yield chunks
    yield table.names
    yield _little(table.stored_ends)
    yield _little(table.plain_ends)
    yield _TRAILER.pack(_MAGIC, len(table), len(chunks))


def _little(numbers: NDArray[np.uint32]) -> bytes:
    return numbers.astype("<u4", copy=False).tobytes()


def _pack_file(file: StagedFile) -> Iterable[bytes]:
    yield _FILE_HEADER.pack(file.blob.digest.raw, file.blob.size_bytes)
    rows = np.zeros(len(file.terms), _TERM)
    for row, term in zip(rows, file.terms, strict=True):
        row["xorb"] = np.frombuffer(term.xorb, np.uint8)
        row["start"], row["stop"], row["plain"] = term.start, term.stop, term.plain_bytes
    yield rows.tobytes()


def _unpack_file(raw: bytes) -> StagedFile:
    try:
        digest, size_bytes = _FILE_HEADER.unpack_from(raw)
        rows = np.frombuffer(raw, _TERM, offset=_FILE_HEADER.size)
    except (struct.error, ValueError) as error:
        raise IntegrityError(f"the record of a staged file is damaged: {error}") from None
    terms = tuple(
        StagedTerm(bytes(row["xorb"]), int(row["start"]), int(row["stop"]), int(row["plain"]))
        for row in rows
    )
    return StagedFile(Blob(Digest.sha256(digest.hex()), size_bytes), terms)
