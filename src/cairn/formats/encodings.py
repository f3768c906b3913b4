"""How pieces of tensors are encoded in files, and how they are decoded within limits.

An encoding is a list of steps undone in order. Steps:

    zlib            RFC 1950
    deflate         RFC 1951, as in zip members
    shuffle:N       bytes of elements of N bytes transposed into planes (HDF5 filter 2)
    fletcher32      4 bytes of checksum at the end (HDF5 filter 3), dropped
    varint          protobuf varints, one per element, cut to the dtype's size
    latin1          UTF-8 text whose characters are the bytes (bytes objects in old pickles)
    columns:S:A,B   elements of shape (A, B) after the first S bytes, first axis fastest (NumPy)
"""

import zlib
from collections.abc import Callable
from math import prod

import numpy as np

from cairn.domain import DType
from cairn.errors import LimitError, MalformedError

MAX_DECODED_BYTES = 256 << 20
"""Plain bytes of one encoded piece: chunks of HDF5 and zarr are a few MiB, the largest whole
arrays inside compressed npz files that are read are this large."""


def decode(data: bytes, encoding: tuple[str, ...], dtype: DType, plain_bytes: int) -> bytes:
    """The plain bytes, exactly `plain_bytes` of them.

    Raises:
        LimitError: they would be more than `MAX_DECODED_BYTES`.
        MalformedError: the data does not decode, or to another length.
    """
    if plain_bytes > MAX_DECODED_BYTES:
        raise LimitError(
            f"an encoded piece of {plain_bytes} bytes, at most {MAX_DECODED_BYTES} are decoded"
        )
    for step in encoding:
        name, _, argument = step.partition(":")
        undo = _STEPS.get(name)
        if undo is None:
            raise MalformedError(f"the encoding {step[:40]!r} is not known")
        data = undo(data, argument, dtype, plain_bytes)
    if len(data) != plain_bytes:
        raise MalformedError(f"a piece decodes to {len(data)} bytes, {plain_bytes} expected")
    return data


def _inflated(data: bytes, plain_bytes: int, window_bits: int) -> bytes:
    # Steps that follow may drop a few bytes (fletcher32), never more than this.
    allowed = plain_bytes + 64
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(data, allowed + 1)
    except zlib.error as error:
        raise MalformedError(f"a compressed piece does not inflate: {error}") from None
    if len(plain) > allowed or not inflater.eof:
        raise MalformedError("a compressed piece does not inflate to the size declared")
    return plain


def _zlib(data: bytes, _: str, __: DType, plain_bytes: int) -> bytes:
    return _inflated(data, plain_bytes, zlib.MAX_WBITS)


def _deflate(data: bytes, _: str, __: DType, plain_bytes: int) -> bytes:
    return _inflated(data, plain_bytes, -zlib.MAX_WBITS)


def _shuffle(data: bytes, argument: str, _: DType, __: int) -> bytes:
    size = int(argument)
    count = len(data) // size
    body = np.frombuffer(data, np.uint8, count * size).reshape(size, count)
    return body.T.tobytes() + data[count * size :]


def _fletcher32(data: bytes, _: str, __: DType, ___: int) -> bytes:
    return data[:-4]


def _varint(data: bytes, _: str, dtype: DType, plain_bytes: int) -> bytes:
    """Protobuf varints to fixed-width integers: https://protobuf.dev/programming-guides/encoding/."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    size = dtype.block_bytes
    if size not in (1, 2, 4, 8):
        raise MalformedError(f"elements of {dtype.label} are no varints")
    cut_off = len(raw) > 0 and (not len(ends) or ends[-1] != len(raw) - 1)
    if cut_off or len(ends) * size != plain_bytes:
        raise MalformedError("a list of varints has another length than its tensor")
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    lengths = ends - starts + 1
    if len(lengths) and lengths.max() > _MAX_VARINT_BYTES:
        raise MalformedError("a varint of more than 10 bytes")
    values = np.zeros(len(ends), np.uint64)
    for at in range(int(lengths.max()) if len(lengths) else 0):
        here = lengths > at
        digits = raw[starts[here] + at].astype(np.uint64) & np.uint64(0x7F)
        values[here] |= digits << np.uint64(7 * at)
    return values.astype(f"<u{size}").tobytes()


def _columns(data: bytes, argument: str, dtype: DType, _: int) -> bytes:
    head, axes = int(argument.partition(":")[0]), argument.partition(":")[2]
    shape = tuple(int(axis) for axis in axes.split(","))
    if len(data) != head + prod(shape) * dtype.block_bytes:
        raise MalformedError("an array by columns has another length than its shape")
    elements = np.frombuffer(data, f"V{dtype.block_bytes}", offset=head)
    return data[:head] + elements.reshape(shape, order="F").tobytes(order="C")


_MAX_VARINT_BYTES = 10


def _latin1(data: bytes, _: str, __: DType, ___: int) -> bytes:
    try:
        return data.decode("utf-8").encode("latin-1")
    except UnicodeError:
        raise MalformedError("a text that stands for bytes holds other characters") from None


_STEPS: dict[str, Callable[[bytes, str, DType, int], bytes]] = {
    "zlib": _zlib,
    "deflate": _deflate,
    "shuffle": _shuffle,
    "fletcher32": _fletcher32,
    "varint": _varint,
    "columns": _columns,
    "latin1": _latin1,
}
