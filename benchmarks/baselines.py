"""How others keep families of checkpoints: each takes files in, gives them back, and counts bytes.

Re-implementations from what their papers and code describe, none copied:

- whole files: git-lfs keeps each distinct file once.
- zstd: one frame of level 3 per file.
- Xet (https://huggingface.co/docs/xet): chunks of 8 to 128 KiB cut by content, 64 KiB on average,
  each kept once; as it is, LZ4, or LZ4 of its bytes grouped by four, whichever is smallest.
- ZipNN (https://arxiv.org/abs/2411.05239): byte planes, the exponent first, Huffman-coded each.
- ZipLLM (https://arxiv.org/abs/2505.06252): each file and each tensor kept once; a tensor that its
  declared base has too as BitX (exclusive or, byte planes, zstd level 3), any other by ZipNN.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cramjam
import numba
import numpy as np
import numpy.typing as npt
from backports import zstd
from blake3 import blake3
from corpus import Entry

from cairn.domain import DType
from cairn.formats import FileSource, read_layout
from cairn.store.zstd_library import compress_huffman

Bytes = npt.NDArray[np.uint8]

LEVEL = 3
COPY_BLOCK = 1 << 20
# Floats by their width in bytes; ZipNN and BitX know no other types.
FLOATS = {DType.F16: 2, DType.BF16: 2, DType.F32: 4, DType.F64: 8}
_UINTS: dict[int, Any] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shelf keeps a body."""

    start: int
    size_bytes: int


class Shelf:
    """A file that only grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.size_bytes = 0

    def put(self, body: bytes | memoryview) -> Place:
        place = Place(self.size_bytes, len(body))
        self._file.seek(place.start)
        self._file.write(body)
        self.size_bytes += len(body)
        return place

    def get(self, place: Place) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.size_bytes)

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of a file: one tensor's, or what lies between tensors (no name)."""

    name: str | None
    dtype: DType | None
    start: int
    stop: int


@cache
def runs(path: Path) -> tuple[Run, ...]:
    """A file from start to end."""
    with FileSource(path) as source:
        layout, size = read_layout(source), source.size_bytes
    found, at = [], 0
    names = {} if layout is None else {t.span.start: t.name for t in reversed(layout.tensors)}
    for storage in () if layout is None else layout.storages:
        span = storage.span
        if span.size_bytes:
            found += [Run(None, None, at, span.start)] if span.start > at else []
            found.append(Run(names.get(span.start, ""), storage.dtype, span.start, span.stop))
            at = span.stop
    return (*found, Run(None, None, at, size)) if at < size else tuple(found)


class Contender(ABC):
    """A way to keep a corpus."""

    name: str

    @property
    @abstractmethod
    def stored_bytes(self) -> int:
        """All it keeps, its indexes included."""

    @abstractmethod
    def add(self, path: Path, entry: Entry) -> None:
        """Keep a file."""

    @abstractmethod
    def restore(self, name: str) -> Iterator[bytes]:
        """A file's bytes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files."""


class Baseline(Contender):
    """One that keeps bodies on a shelf."""

    # Per kept body: a digest of 32 bytes, where it lies and its size.
    REFERENCE_BYTES = 48

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder / f"{type(self).__name__}.shelf")
        self._references = 0

    @property
    def stored_bytes(self) -> int:
        return self._shelf.size_bytes + self.REFERENCE_BYTES * self._references

    def close(self) -> None:
        self._shelf.close()

    def _put(self, body: bytes | memoryview) -> Place:
        self._references += 1
        return self._shelf.put(body)


class WholeFiles(Baseline):
    """git-lfs: a file once, as it is."""

    name = "whole files once (git-lfs)"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: dict[bytes, list[Place]] = {}
        self._files: dict[str, bytes] = {}

    def add(self, path: Path, entry: Entry) -> None:
        digest = digest_of(path)
        self._files[entry.name] = digest
        if digest not in self._known:
            with path.open("rb", buffering=0) as file:
                self._known[digest] = [
                    self._shelf.put(block) for block in iter(lambda: file.read(COPY_BLOCK), b"")
                ]
            self._references += 1

    def restore(self, name: str) -> Iterator[bytes]:
        for place in self._known[self._files[name]]:
            yield self._shelf.get(place)


def digest_of(path: Path) -> bytes:
    """A file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class ZstdFiles(Baseline):
    """zstd -3 of every file."""

    name = "zstd -3 per file"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: dict[str, Place] = {}

    def add(self, path: Path, entry: Entry) -> None:
        self._files[entry.name] = self._put(zstd.compress(path.read_bytes(), level=LEVEL))

    def restore(self, name: str) -> Iterator[bytes]:
        yield zstd.decompress(self._shelf.get(self._files[name]))


class XetChunks(Baseline):
    """Chunks by content, each once, LZ4 with bytes grouped where that is smaller."""

    name = "Xet-style: 64 KiB chunks, byte-grouped LZ4"
    MIN_BYTES, MAX_BYTES = 8 << 10, 128 << 10
    # 16 bits that must be zero at a cut: one byte in 65,536.
    MASK = 0xFFFF << 48

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: dict[bytes, tuple[Place, int, int]] = {}
        self._files: dict[str, list[bytes]] = {}
        seeds = np.random.default_rng(0)
        self._gear = seeds.integers(0, 1 << 64, 256, dtype=np.uint64)

    def add(self, path: Path, entry: Entry) -> None:
        data = np.memmap(path, np.uint8, "r")
        chunks = self._files[entry.name] = []
        start = 0
        while start < len(data):
            stop = start + next_cut(
                data[start : start + self.MAX_BYTES], self._gear, self.MIN_BYTES, self.MASK
            )
            chunk = data[start:stop]
            digest = blake3(chunk).digest()
            if digest not in self._known:
                kind, body = self._smallest(chunk)
                self._known[digest] = (self._put(body), kind, len(chunk))
            chunks.append(digest)
            start = stop

    @staticmethod
    def _smallest(chunk: Bytes) -> tuple[int, bytes]:
        plain = chunk.tobytes()
        grouped = grouped_by_four(chunk)
        bodies = [plain] + [
            bytes(cramjam.lz4.compress_block(data, store_size=False)) for data in (plain, grouped)
        ]
        return min(enumerate(bodies), key=lambda body: len(body[1]))

    def restore(self, name: str) -> Iterator[bytes]:
        for digest in self._files[name]:
            place, kind, size = self._known[digest]
            body = self._shelf.get(place)
            if kind:
                body = bytes(cramjam.lz4.decompress_block(body, output_len=size))
            yield ungrouped(body) if kind == 2 else body


@numba.njit(cache=True, nogil=True)
def next_cut(data: Bytes, gear: Any, least: int, mask: int) -> int:
    """Where the first chunk ends: a gear hash of the last 64 bytes with zeros under the mask."""
    found = np.uint64(0)
    for at in range(max(0, least - 64), len(data)):
        found = (found << np.uint64(1)) + gear[data[at]]
        if at >= least and not found & np.uint64(mask):
            return at + 1
    return len(data)


def grouped_by_four(chunk: Bytes) -> bytes:
    """All first bytes of four, then all second ones, ..."""
    return b"".join(chunk[at::4].tobytes() for at in range(4))


def ungrouped(body: bytes) -> bytes:
    """The inverse."""
    out, start = np.empty(len(body), np.uint8), 0
    for at in range(4):
        size = len(out[at::4])
        out[at::4] = np.frombuffer(body, np.uint8, size, start)
        start += size
    return out.tobytes()


def plane_frames(data: bytes, width: int, pack: Any, *, rotate: bool) -> bytes:
    """The byte planes of elements, each packed or as it is: u8 packed?, u32 size, body."""
    elements = np.frombuffer(data, _UINTS[width])
    if rotate:
        elements = (elements << 1) | (elements >> (8 * width - 1))
    planes = elements.view(np.uint8).reshape(-1, width)
    out = []
    for at in range(width):
        plain = planes[:, at].tobytes()
        packed = pack(plain)
        small = len(packed) < len(plain)
        body = packed if small else plain
        out += [bytes([small]), len(body).to_bytes(4, "little"), body]
    return b"".join(out)


def unplaned(stored: bytes, width: int, *, rotate: bool) -> Bytes:
    """The inverse."""
    bodies, start = [], 0
    for _ in range(width):
        size = int.from_bytes(stored[start + 1 : start + 5], "little")
        body = stored[start + 5 : start + 5 + size]
        bodies.append(zstd.decompress(body) if stored[start] else body)
        start += 5 + size
    planes = np.empty((len(bodies[0]), width), np.uint8)
    for at, body in enumerate(bodies):
        planes[:, at] = np.frombuffer(body, np.uint8)
    elements = planes.view(_UINTS[width])[:, 0]
    if rotate:
        elements = (elements >> 1) | (elements << (8 * width - 1))
    return elements.view(np.uint8)


def pack_zstd(plain: bytes) -> bytes:
    """One frame."""
    return zstd.compress(plain, level=LEVEL)


def solo(data: bytes, dtype: DType | None) -> bytes:
    """ZipNN for floats, zstd for everything else."""
    if dtype in FLOATS:
        return plane_frames(data, FLOATS[dtype], compress_huffman, rotate=True)
    return pack_zstd(data)


def unsolo(stored: bytes, dtype: DType | None) -> bytes:
    """The inverse."""
    if dtype in FLOATS:
        return unplaned(stored, FLOATS[dtype], rotate=True).tobytes()
    return zstd.decompress(stored)


class ZipNN(Baseline):
    """Every tensor of every file by itself."""

    name = "ZipNN per tensor"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: dict[str, list[tuple[Place, DType | None]]] = {}

    def add(self, path: Path, entry: Entry) -> None:
        data = np.memmap(path, np.uint8, "r")
        self._files[entry.name] = [
            (self._put(solo(data[run.start : run.stop].tobytes(), run.dtype)), run.dtype)
            for run in runs(path)
        ]

    def restore(self, name: str) -> Iterator[bytes]:
        for place, dtype in self._files[name]:
            yield unsolo(self._shelf.get(place), dtype)


@dataclass(frozen=True, slots=True)
class Kept:
    """A distinct tensor, alone or against another."""

    place: Place
    dtype: DType | None
    base: bytes | None


class ZipLLM(Baseline):
    """Files once, tensors once, BitX against the declared base, else ZipNN."""

    name = "ZipLLM: files and tensors once, BitX, ZipNN"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tensors: dict[bytes, Kept] = {}
        self._by_digest: dict[bytes, list[bytes]] = {}
        self._files: dict[str, bytes] = {}
        self._named: dict[str, dict[tuple[str, DType | None, int], bytes]] = {}

    def bases_of(self, entry: Entry) -> list[str | None]:
        """The files to compare with, the better last."""
        return [entry.base]

    def add(self, path: Path, entry: Entry) -> None:
        whole = self._files[entry.name] = digest_of(path)
        if whole in self._by_digest:
            return
        data = np.memmap(path, np.uint8, "r")
        base: dict[tuple[str, DType | None, int], bytes] = {}
        for other in self.bases_of(entry):
            base |= self._named.get(other or "", {})
        named = self._named[entry.name] = {}
        order = self._by_digest[whole] = []
        for run in runs(path):
            plain = data[run.start : run.stop].tobytes()
            digest = blake3(plain).digest()
            order.append(digest)
            key = (run.name or "", run.dtype, len(plain))
            if run.name is not None:
                named[key] = digest
            if digest not in self._tensors:
                alike = base.get(key) if run.name is not None else None
                self._tensors[digest] = self._encoded(plain, run.dtype, alike)

    def _encoded(self, plain: bytes, dtype: DType | None, base: bytes | None) -> Kept:
        if base is None or dtype not in FLOATS:
            return Kept(self._put(solo(plain, dtype)), dtype, None)
        mixed = exclusive_or(plain, self._plain(base))
        body = plane_frames(mixed.tobytes(), FLOATS[dtype], pack_zstd, rotate=False)
        return Kept(self._put(body), dtype, base)

    def _plain(self, digest: bytes) -> bytes:
        kept = self._tensors[digest]
        stored = self._shelf.get(kept.place)
        if kept.base is None:
            return unsolo(stored, kept.dtype)
        mixed = unplaned(stored, FLOATS[kept.dtype], rotate=False)
        return exclusive_or(mixed, self._plain(kept.base)).tobytes()

    def restore(self, name: str) -> Iterator[bytes]:
        for digest in self._by_digest[self._files[name]]:
            yield self._plain(digest)


class NearestZipLLM(ZipLLM):
    """The same, told the nearest parent of every file, which no card declares."""

    name = "the same, told each file's nearest parent"

    def bases_of(self, entry: Entry) -> list[str | None]:
        return [entry.base, entry.parent]


def exclusive_or(one: bytes | Bytes, other: bytes) -> Bytes:
    """Of the bytes."""
    return np.bitwise_xor(np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8))


BASELINES = (WholeFiles, ZstdFiles, XetChunks, ZipNN, ZipLLM, NearestZipLLM)
