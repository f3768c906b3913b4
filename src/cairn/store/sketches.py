"""Samples of a blob's tensors, to find near ones: object `sketches/ab/<sha256>`, version 2.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNSKT` |
| 8 | 8 | u32 version, u32 zero |
| 16 | 32 | SHA-256 of the blob |
| 48 | 8 | u32 rows R, u32 zero |
| 56 | 312 x R | per storage: u64 first byte, u64 bytes, u64 elements, dtype label in 16 bytes, |
| | | 64 float32, u64 elements of a row (0: no matrix), u32 landmarks L, u32 zero |
| | 12 x sum of L | per storage its landmarks: u64 hash, u32 place (`landmarks.py`) |
| | 32 | BLAKE3-256 of everything before |

Version 1 has neither landmarks nor the last three fields of a row.

The 64 values of a storage are those at places spread evenly by the golden ratio, which
depend on the number of elements alone: two tensors of one size are sampled at the same
places, whatever their types. Of ggml's types the blocks at those places are dequantised; unsigned
bytes count from 128.
Integers are little-endian. A sketch is a hint: without it a blob reads as well, and is only
not found as a base.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from cairn.domain import Digest, DType, Source, Span
from cairn.errors import IntegrityError, UnavailableError
from cairn.formats.dtypes import numpy_dtype
from cairn.formats.quantised import can_dequantise, dequantise
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import read_all
from cairn.store.keys import sketch_key
from cairn.store.landmarks import NO_LANDMARKS, Landmarks

SAMPLES = 64
VERSION = 2
_MAGIC = b"CAIRNSKT"
_HEAD = struct.Struct("<8sII32sII")
_CHECK_BYTES = 32
_ROW_1 = [
    ("start", "<u8"), ("bytes", "<u8"), ("elements", "<u8"),
    ("dtype", "S16"), ("values", "<f4", (SAMPLES,)),
]  # fmt: skip
_ROWS = {
    1: np.dtype(_ROW_1),
    2: np.dtype([*_ROW_1, ("columns", "<u8"), ("landmarks", "<u4"), ("zero", "<u4")]),
}
_LANDMARK = np.dtype([("hash", "<u8"), ("place", "<u4")])
_LABELS = {dtype.label: dtype for dtype in DType}

# 2**64 divided by the golden ratio: multiples of it, modulo 2**64, fill the range evenly
# (Knuth, The Art of Computer Programming, volume 3, section 6.4).
_GOLDEN = 0x9E3779B97F4A7C15

# Smaller storages are glue or close to it: a base would save less than its reference costs.
MIN_SKETCHED_BYTES = 16 << 10

_NUMPY = {DType.F16: "<f2", DType.F32: "<f4", DType.F64: "<f8", DType.BF16: "<u2"}

# Numbers of one byte: weights that were quantised by torch, bitsandbytes and others.
_BYTES = frozenset(
    (DType.F8_E4M3, DType.F8_E5M2, DType.F8_E4M3FNUZ, DType.F8_E5M2FNUZ, DType.I8, DType.U8)
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A storage of a blob and the values at its sampling places."""

    span: Span
    dtype: DType
    elements: int
    values: npt.NDArray[np.float32]  # (SAMPLES,)
    columns: int = 0  # elements of a row, if it is one matrix
    landmarks: Landmarks = NO_LANDMARKS


def sampling_places(elements: int) -> list[int]:
    """The element numbers that are sampled, for a storage of so many elements."""
    return [((n + 1) * _GOLDEN % (1 << 64)) * elements >> 64 for n in range(SAMPLES)]


def can_sketch(dtype: DType | None, size_bytes: int) -> bool:
    """Whether a storage is one of those that are compared by value."""
    return size_bytes >= MIN_SKETCHED_BYTES and (
        dtype in _NUMPY or dtype in _BYTES or (dtype is not None and can_dequantise(dtype))
    )


def take_sketch(
    source: Source, span: Span, dtype: DType, places: Sequence[int] | None = None
) -> Sketch:
    """Sample a storage of a file, at other places if those are given."""
    width, run = dtype.block_bytes, dtype.block_elements
    elements = span.size_bytes // width * run
    if places is None:
        places = sampling_places(elements)
    raw = b"".join(source.read_at(span.start + place // run * width, width) for place in places)
    values = _singles(raw, dtype).reshape(SAMPLES, run)
    return Sketch(span, dtype, elements, values[range(SAMPLES), [place % run for place in places]])


def _singles(raw: bytes, dtype: DType) -> npt.NDArray[np.float32]:
    """Elements of this type as float32; NaN becomes 0."""  # (n,)
    with np.errstate(over="ignore"):
        if dtype is DType.U8:  # codes around a middle: else unrelated ones would seem near
            singles = np.frombuffer(raw, np.uint8).astype("<f4") - 128
        elif dtype in _BYTES:
            singles = np.frombuffer(raw, numpy_dtype(dtype)).astype("<f4")
        elif dtype not in _NUMPY:
            singles = dequantise(dtype, np.frombuffer(raw, np.uint8))
        elif dtype is DType.BF16:
            singles = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            singles = np.frombuffer(raw, _NUMPY[dtype]).astype("<f4")
    finite: npt.NDArray[np.float32] = np.nan_to_num(singles, nan=0.0, posinf=3e38, neginf=-3e38)
    return finite


def rounded(values: npt.NDArray[np.float32], dtype: DType) -> npt.NDArray[np.float32]:
    """Values as a tensor of this type would have them, to nearest, ties to even."""
    if dtype is DType.BF16:
        bits = values.view("<u4")
        bits = bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))
        upper: npt.NDArray[np.float32] = (bits & np.uint32(0xFFFF0000)).view("<f4")
        return upper
    if dtype is DType.F16:
        with np.errstate(over="ignore"):
            half: npt.NDArray[np.float32] = np.nan_to_num(values.astype("<f2").astype("<f4"))
        return half
    if dtype in _BYTES and dtype not in (DType.I8, DType.U8):
        with np.errstate(over="ignore", invalid="ignore"):
            byte: npt.NDArray[np.float32] = values.astype(numpy_dtype(dtype)).astype("<f4")
        return np.nan_to_num(byte)
    return values


def encode_sketches(digest: Digest, sketches: Iterable[Sketch]) -> bytes:
    """The object's bytes."""
    taken = list(sketches)
    rows = [
        (
            s.span.start, s.span.size_bytes, s.elements, s.dtype.label.encode(), s.values,
            s.columns, len(s.landmarks.hashes), 0,
        )
        for s in taken
    ]  # fmt: skip
    body = _HEAD.pack(_MAGIC, VERSION, 0, digest.raw, len(rows), 0)
    body += np.array(rows, dtype=_ROWS[VERSION]).tobytes()
    for sketch in taken:
        landmarks = np.empty(len(sketch.landmarks.hashes), _LANDMARK)
        landmarks["hash"], landmarks["place"] = sketch.landmarks
        body += landmarks.tobytes()
    return body + blake3(body).digest()


def parse_sketches(data: bytes, digest: Digest) -> list[Sketch]:
    """The sketches of a blob from its object's bytes.

    Raises:
        IntegrityError: damaged, of another blob, or of a newer version.
    """
    body = len(data) - _CHECK_BYTES
    if body < _HEAD.size or blake3(memoryview(data)[:body]).digest() != data[body:]:
        raise IntegrityError(f"sketches of {digest} do not match their checksum")
    magic, version, zero, raw, count, also_zero = _HEAD.unpack_from(data)
    if (magic, zero, raw, also_zero) != (_MAGIC, 0, digest.raw, 0) or version not in _ROWS:
        raise IntegrityError(f"sketches of {digest} are of another blob or version")
    row_type = _ROWS[version]
    stop = _HEAD.size + count * row_type.itemsize
    if body < stop:
        raise IntegrityError(f"sketches of {digest} are not {count} rows")
    rows = np.frombuffer(data, row_type, count, _HEAD.size)
    counts = rows["landmarks"].tolist() if version > 1 else [0] * count
    if body != stop + sum(counts) * _LANDMARK.itemsize:
        raise IntegrityError(f"sketches of {digest} do not have {sum(counts)} landmarks")
    landmarks = np.frombuffer(data, _LANDMARK, sum(counts), stop)
    ends = list(accumulate(counts))
    return [
        _sketch(row, landmarks[end - own : end])
        for row, own, end in zip(rows, counts, ends, strict=True)
        if row["dtype"].decode("ascii", "replace") in _LABELS
    ]


def _sketch(row: np.void, landmarks: npt.NDArray[np.void]) -> Sketch:
    """A row, of version 1 without landmarks."""
    start = int(row["start"])
    return Sketch(
        Span(start, start + int(row["bytes"])),
        _LABELS[row["dtype"].decode()],
        int(row["elements"]),
        row["values"],
        int(row["columns"]) if row.dtype == _ROWS[VERSION] else 0,
        Landmarks(landmarks["hash"].copy(), landmarks["place"].copy()),
    )


def load_sketches(backend: Backend, digest: Digest) -> list[Sketch]:
    """The sketches of a blob; none if it has none that can be read."""
    try:
        return parse_sketches(read_all(backend, sketch_key(digest)), digest)
    except (ObjectNotFoundError, IntegrityError, UnavailableError):
        return []
