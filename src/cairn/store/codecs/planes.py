"""Byte planes: the k-th bytes of all elements together, each plane entropy-coded by itself.

A trained weight's sign and mantissa are noise; its exponent is not. For floats wider than
a byte the bits are rotated left by one, which moves the sign to the bottom so that the
exponent fills the top byte; integers keep their order. Planes that do not shrink are kept
raw. The idea is ZipNN's (https://arxiv.org/abs/2411.05239).

| offset | bytes | field |
|---|---|---|
| 0 | 1 | layout version, 1 |
| 1 | 1 | element width in bytes: 1, 2, 4 or 8 |
| 2 | 1 | 1: elements are rotated left by one bit |
| 3 | 1 | zero |
| 4 | 5 x width | per plane, lowest byte first: u8 coding (0 raw, 1 zstd frame), u32 stored bytes |
| | | the planes, in that order |
| | 0..width-1 | plain bytes after the last whole element, as they are |

Integers are little-endian, elements are taken as little-endian. A complex number is two
elements.
"""

import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.codec import Codec, pays
from cairn.store.zstd_library import compress, compress_huffman, decompress_into

Bytes = npt.NDArray[np.uint8]

VERSION = 1
SAMPLE_BYTES = 32 << 10
SPARE_BUFFERS = 4
_HEAD = struct.Struct("<BBBB")
_PLANE = struct.Struct("<BI")
_RAW, _ZSTD = 0, 1

# Element width in bytes and whether the sign is rotated away.
_SHAPES = {
    DType.F8_E4M3: (1, False), DType.F8_E5M2: (1, False),
    DType.F8_E4M3FNUZ: (1, False), DType.F8_E5M2FNUZ: (1, False),
    DType.F16: (2, True), DType.BF16: (2, True), DType.C32: (2, True),
    DType.F32: (4, True), DType.C64: (4, True),
    DType.F64: (8, True), DType.C128: (8, True),
    DType.I16: (2, False), DType.U16: (2, False),
    DType.I32: (4, False), DType.U32: (4, False), DType.QI32: (4, False),
    DType.I64: (8, False), DType.U64: (8, False),
}  # fmt: skip
_UINTS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}


class PlanesCodec(Codec):
    """Planes of floats and wide integers, each Huffman-coded, zstd-coded or raw."""

    name = "planes"

    def __init__(self) -> None:
        # Buffers for planes, kept: fresh pages cost more than filling them. A deque's pop and
        # append are atomic, and more than a few threads at work get fresh ones.
        self._spare: deque[Bytes] = deque(maxlen=SPARE_BUFFERS)

    @contextmanager
    def _space(self, width: int, count: int) -> Iterator[Bytes]:
        """Room for the planes of a part, (width, count), for the length of a `with` block."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = np.empty(0, dtype=np.uint8)
        if buffer.size < width * count:
            buffer = np.empty(width * count, dtype=np.uint8)
        yield buffer[: width * count].reshape(width, count)
        self._spare.append(buffer)

    def encode(self, plain: memoryview, dtype: DType | None) -> bytes | None:
        """Header, planes, tail; None for other types or when it does not pay."""
        if dtype is None or dtype not in _SHAPES:
            return None
        width, rotated = _SHAPES[dtype]
        whole = len(plain) // width * width
        if not whole:
            return None
        stored = self.planes_of(plain[:whole], width, rotated=rotated) + plain[whole:]
        return stored if pays(len(stored), len(plain)) else None

    def planes_of(self, plain: memoryview, width: int, *, rotated: bool, percent: int = 3) -> bytes:
        """Header and planes of whole elements, whatever they take.

        A plane of which less than `percent` would be saved is kept raw.
        """
        elements = np.frombuffer(plain.toreadonly(), dtype=_UINTS[width])  # (n,)
        heads, bodies = [_HEAD.pack(VERSION, width, int(rotated), 0)], []
        with self._space(width, len(elements)) as planes:
            _split(elements, planes, rotated=rotated)
            for plane in planes:
                frame = _shrink(plane, percent)
                body = plane.data if frame is None else frame
                heads.append(_PLANE.pack(_RAW if frame is None else _ZSTD, len(body)))
                bodies.append(body)
            return b"".join([*heads, *bodies])

    def decode_into(
        self,
        stored: memoryview,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002 - the header says it all
    ) -> None:
        """Decode each plane and interleave them again."""
        with self.planes_in(stored, len(out)) as (shape, planes):
            whole = len(out) - len(shape.tail)
            merged = np.frombuffer(out[:whole], dtype=_UINTS[shape.width])  # (n,)
            join_planes(planes, merged, rotated=shape.rotated)
            out[whole:] = shape.tail

    @contextmanager
    def planes_in(
        self, stored: memoryview, plain_bytes: int
    ) -> Iterator[tuple["PlanesShape", list[Bytes]]]:
        """The planes (n,) of whole elements, lowest byte first, for the length of a `with` block.

        Raises:
            IntegrityError: damaged, or not of so many plain bytes.
        """
        shape = _parse(stored, plain_bytes)
        count = plain_bytes // shape.width
        if not count:
            raise IntegrityError(f"planes of a part that has only {plain_bytes} bytes")
        with self._space(shape.width, count) as room:
            yield (
                shape,
                [_plane(*kept, space) for kept, space in zip(shape.planes, room, strict=True)],
            )


@dataclass(frozen=True, slots=True)
class PlanesShape:
    """What the header says, and what follows the planes."""

    width: int
    rotated: bool
    planes: list[tuple[int, memoryview]]  # (coding, stored bytes), lowest byte first
    tail: memoryview


def _parse(stored: memoryview, plain_bytes: int) -> PlanesShape:
    """Take the header apart and check every length it names."""
    if len(stored) < _HEAD.size:
        raise IntegrityError("planes header is cut short")
    version, width, rotated, zero = _HEAD.unpack_from(stored)
    if version != VERSION or width not in _UINTS or rotated > 1 or zero:
        raise IntegrityError(f"planes header is not one of ours: {bytes(stored[:4]).hex()}")
    at = _HEAD.size + width * _PLANE.size
    if len(stored) < at:
        raise IntegrityError("planes header is cut short")
    planes = []
    for number in range(width):
        coding, length = _PLANE.unpack_from(stored, _HEAD.size + number * _PLANE.size)
        if coding not in (_RAW, _ZSTD) or length > len(stored) - at:
            raise IntegrityError(f"plane {number} claims {length} bytes in coding {coding}")
        planes.append((coding, stored[at : at + length]))
        at += length
    tail = stored[at:]
    if len(tail) != plain_bytes % width:
        raise IntegrityError(f"planes end in {len(tail)} bytes instead of {plain_bytes % width}")
    return PlanesShape(width, bool(rotated), planes, tail)


def _plane(coding: int, body: memoryview, space: Bytes) -> Bytes:
    """The bytes of one plane: a view for a raw one, else decoded into `space`.

    Never writable: so that each loop is compiled for one kind of array.
    """  # (n,)
    if coding == _RAW:
        if len(body) != len(space):
            raise IntegrityError(f"raw plane has {len(body)} bytes instead of {len(space)}")
        return np.frombuffer(body.toreadonly(), dtype=np.uint8)
    decompress_into(body, space.data)
    return np.frombuffer(space.data.toreadonly(), dtype=np.uint8)


def _shrink(plane: Bytes, percent: int) -> bytes | None:
    """The smallest frame for a plane, or None to keep it raw.

    A sample decides between no coding, Huffman alone (faster, and better on exponents) and
    zstd's match search (for zeros and repeated rows, as in optimizer state).
    """
    sample = plane
    if len(plane) > 3 * SAMPLE_BYTES:
        third = len(plane) // 3
        sample = np.concatenate([plane[at : at + SAMPLE_BYTES] for at in (0, third, 2 * third)])
    huffman, matched = len(compress_huffman(sample.data)), len(compress(sample.data, 1))
    if not pays(min(huffman, matched), len(sample), percent):
        return None
    frame = compress(plane.data, 1) if matched < huffman * 0.97 else compress_huffman(plane.data)
    return frame if pays(len(frame), len(plane), percent) else None


def _split(elements: npt.NDArray[np.unsignedinteger], planes: Bytes, *, rotated: bool) -> None:
    """Elements (n,) to planes (width, n), lowest byte first."""
    width = len(planes)
    if width == 1:
        np.copyto(planes[0], elements)
    elif width == 8:
        _kernels().split_8(elements, int(rotated), planes)
    else:
        split = _kernels().split_2 if width == 2 else _kernels().split_4
        split(elements, int(rotated), *planes)


def join_planes(
    planes: list[Bytes], out: npt.NDArray[np.unsignedinteger], *, rotated: bool
) -> None:
    """Planes, lowest byte first, back to elements (n,)."""
    width = len(planes)
    if width == 1:
        np.copyto(out, planes[0])
    elif width == 8:
        _kernels().join_8(np.stack(planes), int(rotated), out)
    else:
        join = _kernels().join_2 if width == 2 else _kernels().join_4
        join(*planes, int(rotated), out)


def _kernels() -> ModuleType:
    """The compiled loops, imported when first needed: numba takes half a second."""
    from cairn.store import plane_kernels

    return plane_kernels
