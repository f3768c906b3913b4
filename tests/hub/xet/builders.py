"""Xorbs and shards made by hand, truthful unless told otherwise."""

import hashlib
import struct
from dataclasses import dataclass, field

import cramjam

from cairn.hub.xet import hashing
from cairn.hub.xet.shard import TAG, WITH_RANGE_HASHES, WITH_SHA256

BOOKEND = b"\xff" * 32 + bytes(16)


def planes(data: bytes) -> bytes:
    return b"".join(data[lane::4] for lane in range(4))


def stored_chunk(data: bytes, scheme: int = 0) -> bytes:
    """A chunk header and body, compressed as the client does it."""
    body = (
        data if scheme == 0 else bytes(cramjam.lz4.compress(planes(data) if scheme == 2 else data))
    )
    return chunk_header(len(body), scheme, len(data)) + body


def chunk_header(stored: int, scheme: int, plain: int, version: int = 0) -> bytes:
    return (
        bytes([version])
        + stored.to_bytes(3, "little")
        + bytes([scheme])
        + plain.to_bytes(3, "little")
    )


def tree_of(chunks: list[bytes]) -> hashing.Tree:
    tree = hashing.Tree()
    for chunk in chunks:
        tree.add(hashing.chunk_name(chunk), len(chunk))
    return tree


@dataclass
class Xorb:
    """Plain chunks and the compression each is stored with."""

    chunks: list[bytes]
    schemes: list[int] | None = None

    @property
    def name(self) -> bytes:
        return tree_of(self.chunks).root()

    @property
    def text(self) -> str:
        return hashing.to_text(self.name)

    @property
    def body(self) -> bytes:
        schemes = self.schemes or [0] * len(self.chunks)
        return b"".join(stored_chunk(c, s) for c, s in zip(self.chunks, schemes, strict=True))

    @property
    def names(self) -> bytes:
        return b"".join(map(hashing.chunk_name, self.chunks))

    def record(self, **lies: object) -> bytes:
        """Its entry in a shard; `lies` replace name, count or sizes."""
        count = lies.get("count", len(self.chunks))
        plain = sum(map(len, self.chunks))
        section = struct.pack(
            "<32sIIII", lies.get("name", self.name), 0, count, plain, len(self.body)
        )
        at = 0
        for chunk in self.chunks:
            name = lies.get("chunk_name", hashing.chunk_name(chunk))
            section += struct.pack("<32sIIII", name, at, len(chunk), 0, 0)
            at += len(chunk)
        return section


@dataclass
class File:
    """A file made of runs of chunks: (xorb, start, stop)."""

    runs: list[tuple[Xorb, int, int]]
    lies: dict[str, object] = field(default_factory=dict)

    @property
    def chunks(self) -> list[bytes]:
        return [c for xorb, start, stop in self.runs for c in xorb.chunks[start:stop]]

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def name(self) -> bytes:
        return hashing.file_name(tree_of(self.chunks))

    @property
    def text(self) -> str:
        return hashing.to_text(self.name)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def record(self) -> bytes:
        lies = self.lies
        flags = lies.get("flags", WITH_RANGE_HASHES | WITH_SHA256)
        count = lies.get("count", len(self.runs))
        section = struct.pack("<32sII8x", lies.get("name", self.name), flags, count)
        for xorb, start, stop in self.runs:
            plain = lies.get("plain", sum(map(len, xorb.chunks[start:stop])))
            first, last = lies.get("range", (start, stop))
            section += struct.pack("<32sIIII", lies.get("xorb", xorb.name), 0, plain, first, last)
        if flags & WITH_RANGE_HASHES:
            for xorb, start, stop in self.runs:
                names = xorb.names[start * 32 : stop * 32]
                section += lies.get("range_name", hashing.range_name(names)) + bytes(16)
        if flags & WITH_SHA256:
            section += hashing.from_text(lies.get("sha256", self.sha256)) + bytes(16)
        return section


def shard(files: list[bytes], xorbs: list[bytes], *, version: int = 2, footer: int = 0) -> bytes:
    """A shard of the given records."""
    header = TAG + struct.pack("<QQ", version, footer)
    return b"".join([header, *files, BOOKEND, *xorbs, BOOKEND])


def shard_of(*files: File) -> bytes:
    """A shard of these files and every xorb they use."""
    xorbs = {xorb.name: xorb for file in files for xorb, _, _ in file.runs}
    return shard([f.record() for f in files], [x.record() for x in xorbs.values()])
