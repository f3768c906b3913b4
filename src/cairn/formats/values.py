"""The elements of a tensor, streamed in row-major order from wherever they lie.

Plain tensors are read in blocks; strided views are gathered; tensors in pieces are put together
box by box. Memory stays within a few times the block size and `MAX_HULL_BYTES`, whatever the
size of the tensor. Elements come out little-endian.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from math import prod

import numpy as np
from numpy.typing import NDArray

from cairn.domain import Piece, Source, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.boxes import Box
from cairn.formats.dtypes import unit_dtype
from cairn.formats.encodings import decode
from cairn.formats.limits import MAX_DECODED_AGAIN, MIN_FILL_BYTES, MIN_FILLS
from cairn.formats.piece_sweep import PieceSweep
from cairn.formats.unfolding import check_unfolding

BLOCK_BYTES = 1 << 20
"""Bytes handed out at once: large against the cost of a call, small against the L2 cache."""

MAX_HULL_BYTES = 32 << 20
"""Bytes of a file read at once to gather a strided view."""

MAX_REPEATED_BYTES = 256 << 20
"""Bytes a view may grow to that shows the same stored elements again and again (stride 0)."""

_MAX_KEPT_BYTES = 128 << 20  # decoded pieces remembered between boxes: a row of HDF5 chunks
_DENSE = 0.25  # of a hull's elements wanted, from which reading all of it beats many reads
_SMALL_HULL_BYTES = 64 << 10
_TILE = 128  # elements along each of two axes: the best of 32 to 256 when measured

Bytes = NDArray[np.uint8]
OpenPart = Callable[[str], AbstractContextManager[Source]]
"""Opens the file a piece names, by its path relative to the folder of the tensor's file."""


def blocks(
    tensor: TensorInfo,
    source: Source | None,
    open_part: OpenPart | None = None,
    block_bytes: int = BLOCK_BYTES,
    start: int = 0,
) -> Iterator[memoryview]:
    """The elements in row-major order, in runs of whole elements of at most about `block_bytes`.

    `source` is the file that lists the tensor, None only if every piece names another. Bytes
    before `start` are left out, and what holds only them is not read.

    Raises:
        MalformedError: a file is shorter than its layout said, a piece does not decode, or a
            piece lies in a file that is not there.
        LimitError: a view that repeats its elements too often, too large an encoded piece, or
            pieces that hold next to nothing of the tensor.
    """
    if not tensor.elements:
        return
    if tensor.pieces:
        check_unfolding(tensor)
        arrays = _PieceReader(tensor, source, open_part, block_bytes).boxes(start)
    elif tensor.strides is not None:
        arrays = _strided(tensor, _present(tensor, source), block_bytes, start)
    else:
        yield from _contiguous(tensor, _present(tensor, source), block_bytes, start)
        return
    for at, array in arrays:
        yield _plain(tensor, array)[max(0, start - at) :]


def read_array(
    tensor: TensorInfo, source: Source | None, open_part: OpenPart | None = None
) -> Bytes:
    """All bytes of a tensor at once, for those known to be small."""
    parts = [np.frombuffer(b, np.uint8) for b in blocks(tensor, source, open_part)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def _present(tensor: TensorInfo, source: Source | None) -> Source:
    if source is None:
        raise MalformedError(f"tensor {tensor.name[:200]!r} is in no file that is there")
    return source


def _plain(tensor: TensorInfo, array: NDArray[np.void]) -> memoryview:
    flat = np.ascontiguousarray(array).reshape(-1)
    if tensor.big_endian:
        flat = _swapped(tensor, flat)
    return flat.view(np.uint8).data


def _swapped(tensor: TensorInfo, flat: NDArray[np.void]) -> NDArray[np.void]:
    """Elements of the other byte order; the two halves of a complex number swap by themselves."""
    size = tensor.dtype.block_bytes
    unit = size // 2 if tensor.dtype.label.startswith("C") else size
    if tensor.dtype.block_elements > 1 or unit == 1:
        return flat
    return flat.view(f"<u{unit}").byteswap()


# --- contiguous ----------------------------------------------------------------------


def _contiguous(
    tensor: TensorInfo, source: Source, block_bytes: int, start: int
) -> Iterator[memoryview]:
    unit = tensor.dtype.block_bytes
    step = max(unit, block_bytes // unit * unit)
    dropped = start % unit
    for at in range(tensor.span.start + start - dropped, tensor.span.stop, step):
        data = _exactly(source, at, min(step, tensor.span.stop - at))
        block = memoryview(data)
        if tensor.big_endian:
            block = _plain(tensor, np.frombuffer(data, unit_dtype(tensor.dtype)))
        yield block[dropped:]
        dropped = 0


def _exactly(source: Source, start: int, length: int) -> bytes:
    data = source.read_at(start, length)
    if len(data) != length:
        raise MalformedError("the file is shorter than it was", source=source.name, offset=start)
    return data


# --- strided -------------------------------------------------------------------------


Located = tuple[int, NDArray[np.void]]
"""Elements, and at which byte of the plain tensor they begin."""


def _strided(tensor: TensorInfo, source: Source, block_bytes: int, begin: int) -> Iterator[Located]:
    assert tensor.strides is not None
    unit = unit_dtype(tensor.dtype)
    if tensor.size_bytes > max(MAX_REPEATED_BYTES, tensor.span.size_bytes):
        raise LimitError(
            f"tensor {tensor.name[:200]!r} repeats {tensor.span.size_bytes} stored bytes"
            f" to {tensor.size_bytes}"
        )
    wanted = max(block_bytes, min(tensor.span.size_bytes, MAX_HULL_BYTES))
    for at, start, shape in _boxes_from(begin, tensor.shape, unit.itemsize, wanted):
        out = np.empty(shape, unit)
        first = sum(index * step for index, step in zip(start, tensor.strides, strict=True))
        _gather(out, source, tensor.span.start + first * unit.itemsize, tensor.strides)
        yield at, out


def _gather(out: NDArray[np.void], source: Source, offset: int, strides: tuple[int, ...]) -> None:
    """Fill `out` from elements that begin at byte `offset` and lie `strides` elements apart."""
    size = out.dtype.itemsize
    reach = 1 + sum((n - 1) * step for n, step in zip(out.shape, strides, strict=True))
    distinct = prod(n for n, step in zip(out.shape, strides, strict=True) if step)
    hull = reach * size
    if hull <= _SMALL_HULL_BYTES or (hull <= MAX_HULL_BYTES and distinct >= _DENSE * reach):
        data = np.frombuffer(_exactly(source, offset, hull), out.dtype)
        steps = tuple(step * size for step in strides)
        view = np.lib.stride_tricks.as_strided(data, out.shape, steps, writeable=False)
        _copy_in_tiles(out, view, min(range(out.ndim), key=lambda a: steps[a] or hull, default=0))
        return
    axis = max(range(out.ndim), key=lambda a: strides[a] * (out.shape[a] > 1))
    half = out.shape[axis] // 2
    low = tuple(slice(None, half) if a == axis else slice(None) for a in range(out.ndim))
    high = tuple(slice(half, None) if a == axis else slice(None) for a in range(out.ndim))
    _gather(out[low], source, offset, strides)
    _gather(out[high], source, offset + half * strides[axis] * size, strides)


def _copy_in_tiles(out: NDArray[np.void], view: NDArray[np.void], near: int) -> None:
    """`out[...] = view`, where neighbours in memory are neighbours along the axis `near`.

    A transposed matrix copied row by row touches a cache line for every element; tile by tile
    it stays in the cache, at 2.4 times the speed for 2048 x 2048 float32.
    """
    last = out.ndim - 1
    if near >= last or min(out.shape[near], out.shape[last]) < 2 * _TILE:
        out[...] = view
        return
    for row in range(0, out.shape[near], _TILE):
        for column in range(0, out.shape[last], _TILE):
            tile = tuple(
                slice(row, row + _TILE) if axis == near else slice(None) for axis in range(last)
            )
            tile = (*tile, slice(column, column + _TILE))
            out[tile] = view[tile]


def _boxes(
    shape: tuple[int, ...], item_bytes: int, block_bytes: int, step: int = 1
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Boxes of at most about `block_bytes` that follow each other in row-major order.

    `step`: the first axis is cut at multiples of this where that keeps boxes small enough.
    """
    if not shape:
        yield (), ()
        return
    row = prod(shape[1:]) * item_bytes
    rows = block_bytes // max(1, row)
    if rows < 1 and len(shape) > 1:
        for at in range(shape[0]):
            for start, inner in _boxes(shape[1:], item_bytes, block_bytes):
                yield (at, *start), (1, *inner)
        return
    rows = max(1, rows)
    if rows > step:
        rows -= rows % step
    for at in range(0, shape[0], rows):
        yield (at, *(0 for _ in shape[1:])), (min(rows, shape[0] - at), *shape[1:])


def _boxes_from(
    begin: int, shape: tuple[int, ...], item_bytes: int, block_bytes: int, step: int = 1
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """`_boxes`, each after its place in bytes, without those that end at `begin` or before."""
    at = 0
    for start, extent in _boxes(shape, item_bytes, block_bytes, step):
        stop = at + prod(extent) * item_bytes
        if stop > begin:
            yield at, start, extent
        at = stop


# --- in pieces -----------------------------------------------------------------------


class _PieceReader:
    """Puts boxes of one tensor together from its pieces, remembering what it decoded."""

    def __init__(
        self,
        tensor: TensorInfo,
        source: Source | None,
        open_part: OpenPart | None,
        block_bytes: int,
    ) -> None:
        self._tensor = tensor
        self._source = source
        self._open_part = open_part
        self._block_bytes = block_bytes
        self._unit = unit_dtype(tensor.dtype)
        self._per_unit = tensor.dtype.block_elements
        # Blocks of quantised or packed types hold several elements: those count as one here.
        self._flat = self._per_unit > 1 or any(
            len(p.start) != len(tensor.shape) for p in tensor.pieces
        )
        self._shape = (-(-tensor.elements // self._per_unit),) if self._flat else tensor.shape
        self._decoded: dict[int, NDArray[np.void]] = {}
        self._decoded_bytes = 0
        self._may_fill = max(MIN_FILLS, tensor.size_bytes // MIN_FILL_BYTES)
        self._may_decode = MAX_DECODED_AGAIN * max(tensor.size_bytes, _MAX_KEPT_BYTES)

    def boxes(self, since: int) -> Iterator[Located]:
        """The tensor box by box, from the one that holds byte `since`."""
        placed = [(self._place(piece), at) for at, piece in enumerate(self._tensor.pieces)]
        height = max((1, *(shape[0] for (_, shape), _ in placed if shape)))
        sweep = PieceSweep(placed)
        for offset, start, shape in _boxes_from(
            since, self._shape, self._unit.itemsize, self._block_bytes, height
        ):
            box = np.zeros(shape, self._unit)
            empty = box.size
            for place, at in sweep.meeting((start, shape), self._shape):
                empty -= self._fill(box, start, place, at)
                if empty < 0:
                    raise MalformedError(f"pieces of tensor {self._tensor.name[:200]!r} overlap")
            yield offset, box

    def _place(self, piece: Piece) -> Box:
        """Where a piece lies in the shape that is worked with."""
        if not self._flat:
            return piece.start, piece.shape
        if len(piece.start) == 1:
            first, count = piece.start[0], piece.shape[0]
        elif not piece.shape:
            first, count = 0, 1
        elif piece.shape[1:] == self._tensor.shape[1:] and not any(piece.start[1:]):
            row = prod(piece.shape[1:])
            first, count = piece.start[0] * row, piece.shape[0] * row
        else:
            raise MalformedError("pieces that are boxes beside pieces that are runs")
        if first % self._per_unit:
            raise MalformedError("a piece begins inside a block of packed elements")
        return (first // self._per_unit,), (-(-count // self._per_unit),)

    def _fill(
        self,
        box: NDArray[np.void],
        start: tuple[int, ...],
        place: Box,
        at: int,
    ) -> int:
        """Enter what piece number `at` holds of the box at `start`; how many elements that is."""
        self._may_fill -= 1
        if self._may_fill < 0:
            raise LimitError(
                f"tensor {self._tensor.name[:200]!r} lies in pieces too small to be put together"
            )
        begin, extent = place
        stop = tuple(a + n for a, n in zip(start, box.shape, strict=True))
        low = tuple(max(a, b) for a, b in zip(start, begin, strict=True))
        high = tuple(min(c, b + n) for c, b, n in zip(stop, begin, extent, strict=True))
        if any(a >= b for a, b in zip(low, high, strict=True)):
            return 0
        into = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        inside = tuple((a - b, c - b) for a, c, b in zip(low, high, begin, strict=True))
        part = box[into] = self._part(at, extent, inside)
        return part.size

    def _part(
        self, at: int, extent: tuple[int, ...], inside: tuple[tuple[int, int], ...]
    ) -> NDArray[np.void]:
        """The elements `inside` of piece number `at`, whose box has the shape `extent`."""
        piece = self._tensor.pieces[at]
        if not piece.encoding:
            return self._plain_part(piece, extent, inside)
        whole = self._decoded.get(at)
        if whole is None:
            plain = prod(extent) * self._unit.itemsize + piece.skip_bytes
            self._may_decode -= plain
            if self._may_decode < 0:
                raise LimitError(
                    f"pieces of tensor {self._tensor.name[:200]!r} are too large to be decoded"
                    " again and again"
                )
            with self._opened(piece) as source:
                raw = _exactly(source, piece.span.start, piece.span.size_bytes)
            data = decode(raw, piece.encoding, self._tensor.dtype, plain)
            whole = np.frombuffer(data, self._unit, offset=piece.skip_bytes).reshape(extent)
            self._remember(at, whole)
        return whole[tuple(slice(a, b) for a, b in inside)]

    def _plain_part(
        self, piece: Piece, extent: tuple[int, ...], inside: tuple[tuple[int, int], ...]
    ) -> NDArray[np.void]:
        strides = tuple(prod(extent[axis + 1 :]) for axis in range(len(extent)))
        first = sum(a * step for (a, _), step in zip(inside, strides, strict=True))
        out = np.empty(tuple(b - a for a, b in inside), self._unit)
        offset = piece.span.start + piece.skip_bytes + first * self._unit.itemsize
        with self._opened(piece) as source:
            _gather(out, source, offset, strides)
        return out

    def _remember(self, at: int, whole: NDArray[np.void]) -> None:
        while self._decoded and self._decoded_bytes + whole.nbytes > _MAX_KEPT_BYTES:
            oldest = next(iter(self._decoded))
            self._decoded_bytes -= self._decoded.pop(oldest).nbytes
        self._decoded[at] = whole
        self._decoded_bytes += whole.nbytes

    def _opened(self, piece: Piece) -> AbstractContextManager[Source]:
        if piece.path:
            if self._open_part is None:
                raise MalformedError(
                    f"tensor {self._tensor.name[:200]!r} lies in {piece.path[:200]!r}, which is"
                    " not at hand",
                    hint="Give the folder instead of the single file",
                )
            return self._open_part(piece.path)
        return _AlreadyOpen(_present(self._tensor, self._source))


class _AlreadyOpen(AbstractContextManager[Source]):
    """A source that somebody else opened and will close."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> Source:
        return self._source

    def __exit__(self, *_: object) -> None:
        return None
