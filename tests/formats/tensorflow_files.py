"""A writer of TensorFlow's checkpoint index, so that tests need no TensorFlow.

Compared once with files by TensorFlow 2.21 (`tf.train.Checkpoint`, a sharded `Saver` with
partitioned variables): the same reader reads both. The shape of blocks, restarts and footer is
that of leveldb's `table_format.md`, of entries that of `tensor_bundle.proto`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

NUMBERS = {
    np.dtype(kind): number
    for kind, number in {
        "f4": 1,
        "f8": 2,
        "i4": 3,
        "u1": 4,
        "i2": 5,
        "i1": 6,
        "c8": 8,
        "i8": 9,
        "?": 10,
        "u2": 17,
        "c16": 18,
        "f2": 19,
        "u4": 22,
        "u8": 23,
        ml_dtypes.bfloat16: 14,
        ml_dtypes.float8_e5m2: 24,
        ml_dtypes.float8_e4m3fn: 25,
    }.items()
}
MAGIC = bytes.fromhex("57fb808b247547db")


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(
    dtype: int,
    shape: Iterable[int],
    offset: int,
    size: int,
    shard: int = 0,
    slices: Iterable[Iterable[tuple[int, int | None]]] = (),
) -> bytes:
    """A BundleEntryProto; a slice is (start, length) per axis, length None for all of it."""
    axes = b"".join(field(2, field(1, n)) for n in shape)
    raw = field(1, dtype) + field(2, axes) + field(3, shard) + field(4, offset) + field(5, size)
    for extents in slices:
        parts = b""
        for start, length in extents:
            sizes = b"" if length is None else field(1, start) + field(2, length)
            parts += field(1, sizes)
        raw += field(7, parts)
    return raw


def block(entries: Iterable[tuple[bytes, bytes]], restart_every: int = 16) -> bytes:
    out, restarts, before = b"", [], b""
    for at, (key, value) in enumerate(entries):
        shared = 0
        if at % restart_every:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    restarts = restarts or [0]
    return out + b"".join(n.to_bytes(4, "little") for n in (*restarts, len(restarts)))


def table(entries: Mapping[bytes, bytes], per_block: int = 100, kind: int = 0) -> bytes:
    """A LevelDB table; checksums are zero."""
    out, index = b"", []
    trailer = bytes([kind]) + bytes(4)
    ordered = sorted(entries.items())
    for at in range(0, len(ordered), per_block):
        part = ordered[at : at + per_block]
        raw = block(part)
        index.append((part[-1][0], varint(len(out)) + varint(len(raw))))
        out += raw + trailer
    meta = varint(len(out)) + varint(len(block([])))
    out += block([]) + bytes(5)
    listed = block(index, 1)
    place = varint(len(out)) + varint(len(listed))
    return out + listed + bytes(5) + (meta + place).ljust(40, b"\0") + MAGIC


def header(shards: int = 1, *, big_endian: bool = False) -> bytes:
    return field(1, shards) + (field(2, 1) if big_endian else b"") + field(3, field(1, 1))


def checkpoint(
    arrays: Mapping[str, Any], *, shards: int = 1, big_endian: bool = False, per_block: int = 100
) -> tuple[bytes, list[bytes]]:
    """The index and the data files of arrays, dealt out to the shards in turn."""
    data = [b""] * shards
    entries = {b"": header(shards, big_endian=big_endian)}
    for at, (name, value) in enumerate(arrays.items()):
        array = np.asarray(value)
        raw = (
            array.astype(array.dtype.newbyteorder(">")).tobytes() if big_endian else array.tobytes()
        )
        shard = at % shards
        place = len(data[shard])
        number = NUMBERS[array.dtype]
        entries[name.encode()] = entry(number, array.shape, place, len(raw), shard)
        data[shard] += raw
    return table(entries, per_block), data
