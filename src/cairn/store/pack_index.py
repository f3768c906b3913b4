"""Where the parts of one pack lie: object `packs/<id>.idx`, format version 2.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNIDX` |
| 8 | 4 | u32 version, 2 |
| 12 | 4 | u32 zero |
| 16 | 8 | u64 bytes of the pack |
| 24 | 8 | u64 entries N |
| 32 | 8 | u64 edges E |
| 40 | 64 x N | entries, sorted by digest |
| | 36 x E | per base of a derived part: u32 entry number, BLAKE3-256 of the base |
| | 32 | BLAKE3-256 of everything before |

An entry: BLAKE3-256 of the part, u64 offset of its record, u32 stored bytes, u32 plain
bytes, codec name in 16 zero-padded ASCII bytes. Integers are little-endian. An index
that is missing or damaged is made anew by scanning its pack. Version 1, without edges and
their count, belongs to packs of version 1.
"""

import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from cairn.errors import IntegrityError, UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import read_all, replace_bytes
from cairn.store.keys import PACKS, pack_index_key, pack_key
from cairn.store.packs import RECORD_HEAD_BYTES, Record, scan
from cairn.store.precedence import precedence

VERSION = 2
_MAGIC = b"CAIRNIDX"
_HEAD = struct.Struct("<8sIIQQ")
_EDGE_COUNT = struct.Struct("<Q")
_CHECK_BYTES = 32
_ENTRY = np.dtype(
    [("digest", "V32"), ("offset", "<u8"), ("stored", "<u4"), ("plain", "<u4"), ("codec", "S16")]
)
_EDGE = np.dtype([("entry", "<u4"), ("base", "V32")])
_NO_EDGES = np.empty(0, dtype=_EDGE)


@dataclass(frozen=True, slots=True)
class PackIndex:
    """The entries of one pack, sorted by digest, and the pack's bytes."""

    entries: npt.NDArray[np.void]  # (N,) of _ENTRY
    pack_bytes: int
    edges: npt.NDArray[np.void] = field(default_factory=lambda: _NO_EDGES)  # (E,) of _EDGE
    whole: bool = True  # False: what could be found in a damaged pack

    @classmethod
    def of(cls, records: Iterable[Record], pack_bytes: int) -> "PackIndex":
        """The index of a pack with these records."""
        ordered = sorted(records, key=lambda record: (record.digest, record.offset))
        rows = [
            (r.digest, r.offset, r.stored_bytes, r.plain_bytes, r.codec.encode("ascii"))
            for r in ordered
        ]
        edges = [(n, base) for n, r in enumerate(ordered) for base in r.base_digests]
        return cls(np.array(rows, dtype=_ENTRY), pack_bytes, np.array(edges, dtype=_EDGE))

    def bases(self) -> dict[bytes, tuple[bytes, ...]]:
        """The digests of the parts that each derived part of this pack is made from."""
        found: dict[bytes, tuple[bytes, ...]] = {}
        for entry, base in zip(self.edges["entry"], self.edges["base"], strict=True):
            digest = self.entries["digest"][entry].tobytes()
            found[digest] = (*found.get(digest, ()), base.tobytes())
        return found

    def without(self, digests: set[bytes]) -> "PackIndex":
        """The same pack as if it did not hold these parts."""
        stay = np.fromiter((d not in digests for d in self.digests()), bool, len(self.entries))
        edges = self.edges[stay[self.edges["entry"]]]
        edges["entry"] = (np.cumsum(stay) - 1)[edges["entry"]]
        return replace(self, entries=self.entries[stay], edges=edges)

    def digests(self) -> list[bytes]:
        """All digests, sorted."""
        return [row.tobytes() for row in self.entries["digest"]]

    def keys(self) -> npt.NDArray[np.uint64]:
        """The first 8 bytes of each digest as numbers, in the same (sorted) order."""  # (N,)
        if not len(self.entries):
            return np.empty(0, dtype=np.uint64)
        raw = np.frombuffer(self.entries["digest"].tobytes(), dtype=">u8").reshape(-1, 4)
        return raw[:, 0].astype(np.uint64)

    def record_bytes(self) -> npt.NDArray[np.uint64]:
        """What each part takes in the pack, head included."""  # (N,)
        return self.entries["stored"].astype(np.uint64) + RECORD_HEAD_BYTES

    def encode(self) -> bytes:
        """The object's bytes."""
        head = _HEAD.pack(_MAGIC, VERSION, 0, self.pack_bytes, len(self.entries))
        head += _EDGE_COUNT.pack(len(self.edges))
        body = head + self.entries.tobytes() + self.edges.tobytes()
        return body + blake3(body).digest()


def parse_index(data: bytes) -> PackIndex:
    """An index from its object's bytes.

    Raises:
        IntegrityError: damaged or of another version.
    """
    if len(data) < _HEAD.size + _CHECK_BYTES:
        raise IntegrityError("the index is cut short")
    magic, version, zero, pack_bytes, count = _HEAD.unpack_from(data)
    if magic != _MAGIC or version not in (1, VERSION) or zero:
        raise IntegrityError(f"it does not start as an index of version {VERSION} or before")
    at, edge_count = _HEAD.size, 0
    if version > 1:
        (edge_count,) = _EDGE_COUNT.unpack_from(data, at)
        at += _EDGE_COUNT.size
    body = len(data) - _CHECK_BYTES
    edges_at = at + count * _ENTRY.itemsize
    if body != edges_at + edge_count * _EDGE.itemsize:
        raise IntegrityError(
            f"the index has {len(data)} bytes, which is not {count} entries, {edge_count} edges"
        )
    if blake3(memoryview(data)[:body]).digest() != data[body:]:
        raise IntegrityError("the index does not match its checksum")
    entries = np.frombuffer(data, _ENTRY, count, at)
    edges = np.frombuffer(data, _EDGE, edge_count, edges_at)
    if edge_count and int(edges["entry"].max()) >= count:
        raise IntegrityError("the index names a derived part that it does not have")
    return PackIndex(entries, pack_bytes, edges)


def load_index(backend: Backend, pack_id: str) -> PackIndex:
    """The index of a pack, made anew from the pack if it is missing or damaged.

    Of a pack that is damaged itself, what can still be found by scanning from its start;
    that is not written back.

    Raises:
        ObjectNotFoundError: there is no such pack.
    """
    pack_bytes = backend.info(pack_key(pack_id)).size_bytes
    try:
        index = parse_index(read_all(backend, pack_index_key(pack_id)))
        if index.pack_bytes == pack_bytes:
            return index
    except (IntegrityError, ObjectNotFoundError, UnavailableError):
        pass
    return _rebuild(backend, pack_id)


def load_indexes(backend: Backend) -> dict[str, PackIndex]:
    """The index of every pack, by its id, in the order in which packs count.

    That is the newest first and those on their way out last: of a part in several packs the
    first is the one that stays.
    """
    listed = {info.key: info for info in backend.list(PACKS)}
    packs = [info for info in listed.values() if info.key.endswith(".pack")]
    packs.sort(
        key=lambda p: precedence(p.key, p.modified_s, condemned=f"{p.key[:-5]}.dead" in listed)
    )
    found: dict[str, PackIndex] = {}
    for info in packs:
        pack_id = info.key[len(PACKS) : -5]
        with suppress(ObjectNotFoundError):  # gc took it since it was listed
            found[pack_id] = load_index(backend, pack_id)
    return found


def write_index(backend: Backend, pack_id: str, index: PackIndex) -> None:
    """Durably write an index, replacing a damaged one."""
    replace_bytes(backend, pack_index_key(pack_id), index.encode())


def _rebuild(backend: Backend, pack_id: str) -> PackIndex:
    records: list[Record] = []
    with backend.open(pack_key(pack_id)) as pack:
        try:
            for record in scan(pack):
                records.append(record)  # noqa: PERF402 - keeps what came before damage
        except (IntegrityError, UnavailableError):
            return replace(PackIndex.of(records, pack.size_bytes), whole=False)
        index = PackIndex.of(records, pack.size_bytes)
    with suppress(UnavailableError):  # a full disk: it serves from memory
        write_index(backend, pack_id, index)
    return index
