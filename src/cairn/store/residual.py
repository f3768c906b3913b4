"""How the difference between a part and its prediction is kept.

| coding | for | stored bytes |
|---|---|---|
| 0 exact | the prediction is the part | none |
| 1 whole | types of two bytes and more | differences, one pcodec stream |
| 2 by exponent | floats of two bytes and more | differences sorted by the prediction's exponent |
| 3 bytes | everything else | the exclusive or of the bytes, one zstd frame |
| 4 planes | types of two bytes and more | differences as the codec `planes` keeps integers |

Differences are those of `residual_kernels`; a complex number is two floats. Bytes after the
last whole element are exclusive-ored and come first (0 to 7 bytes).

The unit of the last place, in which differences are counted, doubles with every exponent of
the prediction, while what training adds to a weight does not depend on the weight's size. So
differences under one exponent are alike and those under another are not: coding 2 gives each
exponent a stream of its own. The prediction's exponents are known to the reader, so only the
streams' lengths are kept: u32 per group, in the order of exponents, then the streams. A group
is a run of neighbouring exponents, closed as soon as it has `GROUP_ELEMENTS`; the last takes
what is left. Idea and comparison: ZipLLM's BitX keeps the exclusive or
(https://arxiv.org/abs/2505.06252), which forgets the exponent.

Coding 4 reads two to three times as fast as the others: a difference d becomes 2 d, or -2 d - 1
if it is negative, so that the bytes of small ones have zeros on top; their byte planes are then
coded as those of any integers. No difference is kept as no bytes.

pcodec (https://github.com/pcodec/pcodec) keeps a number as the bin it falls in, entropy-coded
with tANS, and its offset in the bin; here without its own predictors, which find nothing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.codecs.planes import PlanesCodec, join_planes
from cairn.store.pco_library import compress_integers, decompress_integers
from cairn.store.scratch import Scratch
from cairn.store.zstd_library import compress, decompress_into

EXACT, WHOLE, BY_EXPONENT, BYTES, PLANES = range(5)

_PLANES = PlanesCodec()

# A logarithm takes longer than coding an element; of so many the mean is right to a percent.
WEIGHED_ELEMENTS = 8192

# Undoing the coding of one plane takes about an eighth of the time to read a float32 part, so this
# much of the part is to be saved by it: the low bytes of wide differences are nearly noise.
PLANE_SAVES_PERCENT = 5

GROUP_ELEMENTS = 2048  # a pcodec stream has some 50 bytes of its own: 0.2 bit for so many

Array = np.ndarray[Any, Any]

# Bytes per element, and for floats where the exponent starts and how many values it has.
_FLOATS = {
    DType.F16: (2, 10, 32), DType.C32: (2, 10, 32),
    DType.BF16: (2, 7, 256),
    DType.F32: (4, 23, 256), DType.C64: (4, 23, 256),
    DType.F64: (8, 52, 2048), DType.C128: (8, 52, 2048),
}  # fmt: skip
_INTEGERS = {
    DType.I16: 2, DType.U16: 2, DType.I32: 4, DType.U32: 4, DType.I64: 8, DType.U64: 8,
}  # fmt: skip


def codings_for(dtype: DType | None) -> tuple[int, ...]:
    """The codings that can keep a difference of this type, the fastest to read first."""
    if dtype in _FLOATS:
        return (PLANES, WHOLE, BY_EXPONENT)
    return (PLANES, WHOLE) if dtype in _INTEGERS else (BYTES,)


def likely_bits(plain: memoryview, predicted: memoryview, dtype: DType) -> float:
    """About how many bits per element (or byte) the difference takes: to compare predictions by."""
    if codings_for(dtype) == (BYTES,):
        return float(np.log2(1.0 + _exclusive_or(plain, predicted)).mean())
    width, low, _, _ = _shape(dtype)
    step = max(1, len(plain) // width // WEIGHED_ELEMENTS)
    values, guesses = _inputs(plain, width), _inputs(predicted, width)
    return float(_kernels().mean_bits(values, guesses, low, step))


def encode_residual(
    plain: memoryview, predicted: memoryview, dtype: DType | None, coding: int, scratch: Scratch
) -> bytes:
    """The stored bytes of the difference; `predicted` is as long as `plain`."""
    if coding == EXACT:
        return b""
    if coding == BYTES:
        return compress(_exclusive_or(plain, predicted).data, 3)
    width, low, shift, exponents = _shape(dtype)
    whole = len(plain) // width * width
    tail = _exclusive_or(plain[whole:], predicted[whole:]).tobytes()
    values, guesses = _inputs(plain[:whole], width), _inputs(predicted[:whole], width)
    with scratch.bytes(whole) as one, scratch.bytes(whole) as other:
        beyond, grouped = _elements(one, width), _elements(other, width)
        _kernels().differences(values, guesses, low, beyond)
        if coding == WHOLE:
            return tail + compress_integers(beyond)
        if coding == PLANES:
            return tail + _folded_planes(beyond)
        order = _Order.of(guesses, shift, exponents)
        _kernels().scatter(beyond, *order.arguments(), grouped)
        streams = [compress_integers(grouped[start:stop]) for start, stop in order.groups()]
    lengths = struct.pack(f"<{len(streams)}I", *map(len, streams))
    return b"".join([tail, lengths, *streams])


def apply_residual(
    coding: int, stored: memoryview, out: memoryview, dtype: DType | None, scratch: Scratch
) -> None:
    """Turn the prediction in `out` into the part.

    Raises:
        IntegrityError: the stored bytes are damaged.
    """
    if coding == EXACT and not len(stored):
        return
    if coding not in codings_for(dtype):
        raise IntegrityError(f"no difference of {dtype} is kept in coding {coding}")
    if coding == BYTES:
        with scratch.bytes(len(out)) as difference:
            decompress_into(stored, difference)
            np.bitwise_xor(_bytes(out), _bytes(difference), out=_bytes(out))
        return
    width, low, shift, exponents = _shape(dtype)
    whole = len(out) // width * width
    rest = len(out) - whole
    if len(stored) < rest:
        raise IntegrityError("the difference is cut short")
    out[whole:] = _exclusive_or(stored[:rest], out[whole:]).data
    stored = stored[rest:]
    values = _elements(out[:whole], width)
    if coding == PLANES:
        _restore_planes(stored, values, low, scratch)
        return
    with scratch.bytes(whole) as one, scratch.bytes(whole) as other:
        beyond, grouped = _elements(one, width), _elements(other, width)
        if coding == WHOLE:
            decompress_integers(stored, beyond)
            _kernels().restore(beyond, values, low)
            return
        order = _Order.of(_inputs(out[:whole], width), shift, exponents)
        for stream, (start, stop) in _streams(stored, order.groups()):
            decompress_integers(stream, grouped[start:stop])
        # Gathering alone is bound by latency, restoring alone runs in vector lanes: two passes
        # over what is in the cache are faster than one that does both.
        _kernels().gather(grouped, *order.arguments(), beyond)
        _kernels().restore(beyond, values, low)


def _folded_planes(beyond: Array) -> bytes:
    if not beyond.size:
        return b""
    _kernels().fold(beyond, 8 * beyond.itemsize - 1)
    percent = PLANE_SAVES_PERCENT * beyond.itemsize
    return _PLANES.planes_of(beyond.data.cast("B"), beyond.itemsize, rotated=False, percent=percent)


def _restore_planes(stored: memoryview, values: Array, low: Any, scratch: Scratch) -> None:
    """Decode planes and correct the predictions in `values` by what they say, in one pass."""
    if not values.size:
        if len(stored):
            raise IntegrityError("differences of no elements take bytes")
        return
    with _PLANES.planes_in(stored, values.nbytes) as (shape, planes):
        if shape.width != values.itemsize or shape.rotated or len(shape.tail):
            raise IntegrityError("planes of differences have another shape than the part")
        if shape.width == 8:
            with scratch.bytes(values.nbytes) as room:
                folded = np.frombuffer(room, "<u8")
                join_planes(planes, folded, rotated=False)
                _kernels().restore_folded(_inputs(room, 8).view("<u8"), values, low)
            return
        restore = _kernels().restore_planes_2 if shape.width == 2 else _kernels().restore_planes_4
        restore(*planes, values, low)


def _kernels() -> ModuleType:
    """The compiled loops, imported when first needed: numba takes half a second."""
    from cairn.store import residual_kernels

    return residual_kernels


def _shape(dtype: DType | None) -> tuple[int, Any, int, int]:
    """Width, magnitude bits, place of the exponent, how many exponents there are."""
    if dtype in _FLOATS:
        width, shift, exponents = _FLOATS[dtype]
        signed = np.dtype(f"i{width}").type
        return width, np.iinfo(signed).max * signed(1), shift, exponents
    if dtype in _INTEGERS:
        width = _INTEGERS[dtype]
        return width, np.dtype(f"i{width}").type(0), 0, 1
    raise IntegrityError(f"no difference of {dtype} is counted in elements")


def _elements(data: memoryview, width: int) -> Array:
    return np.frombuffer(data, dtype=f"<i{width}")


def _inputs(data: memoryview, width: int) -> Array:
    """As `_elements`, never writable: so that each loop is compiled for one kind of array."""
    return np.frombuffer(data.toreadonly(), dtype=f"<i{width}")


def _bytes(data: memoryview) -> Array:
    return np.frombuffer(data, dtype=np.uint8)


def _exclusive_or(one: memoryview, other: memoryview) -> Array:
    return np.bitwise_xor(_bytes(one), _bytes(other))


@dataclass(frozen=True, slots=True)
class _Order:
    """How the elements of a part are sorted by the exponents of its prediction."""

    predicted: Array  # (n,) unsigned
    shift: Any
    counts: Array  # (2, exponents): how often each occurs in either half

    @classmethod
    def of(cls, predicted: Array, shift: int, exponents: int) -> "_Order":
        order = cls(
            predicted.view(f"<u{predicted.itemsize}"),
            np.uint64(shift),
            np.zeros((2, exponents), dtype=np.uint64),
        )
        _kernels().count_exponents(order.predicted, order.shift, order.mask, order.counts)
        return order

    @property
    def mask(self) -> Any:
        return np.uint64(self.counts.shape[1] - 1)

    def arguments(self) -> tuple[Array, Any, Any, Array]:
        """What the kernels take: `places` says where each exponent of either half begins."""
        totals = self.counts.sum(axis=0)
        places = np.empty_like(self.counts)
        places[0] = np.cumsum(totals) - totals
        places[1] = places[0] + self.counts[0]
        return self.predicted, self.shift, self.mask, places

    def groups(self) -> list[tuple[int, int]]:
        """Where each group of neighbouring exponents begins and ends among the sorted."""
        return list(_groups(self.counts.sum(axis=0).tolist()))


def _groups(counts: list[int]) -> Iterator[tuple[int, int]]:
    start = stop = 0
    left = sum(counts)
    for count in counts:
        stop += count
        left -= count
        if stop - start >= GROUP_ELEMENTS and left >= GROUP_ELEMENTS:
            yield start, stop
            start = stop
    stop += left
    if stop > start:
        yield start, stop


def _streams(
    stored: memoryview, groups: list[tuple[int, int]]
) -> Iterator[tuple[memoryview, tuple[int, int]]]:
    """Each group's stream and place.

    Raises:
        IntegrityError: the lengths do not fit.
    """
    at = 4 * len(groups)
    if len(stored) < at:
        raise IntegrityError("the lengths of the streams are cut short")
    lengths = struct.unpack_from(f"<{len(groups)}I", stored)
    if sum(lengths) != len(stored) - at:
        raise IntegrityError("the streams are cut short or too long")
    for length, group in zip(lengths, groups, strict=True):
        yield stored[at : at + length], group
        at += length
