"""Stored tensors as pieces of larger ones: one box, or several where their elements lie strided."""

from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

from cairn.domain import Piece, Span, TensorInfo
from cairn.errors import LimitError
from cairn.formats.limits import MAX_CHUNKS

MAX_RUNS = 4096
"""Boxes one strided tensor is cut into. A transposed weight needs one per column."""


class Pieces:
    """Makes the pieces of one assembly, of which there may be `MAX_CHUNKS` in all."""

    def __init__(self, anchor: str) -> None:
        self._anchor = anchor
        self._left = MAX_CHUNKS

    def counted(self, pieces: Iterable[Piece]) -> tuple[Piece, ...]:
        """All of them.

        Raises:
            LimitError: with those made before there are too many.
        """
        found: list[Piece] = []
        for piece in pieces:
            found.append(piece)
            self._left -= 1
            if self._left < 0:
                raise LimitError(f"more than {MAX_CHUNKS} pieces", source=self._anchor)
        return tuple(found)

    def whole(self, stored: TensorInfo, path: str) -> tuple[Piece, ...]:
        """The pieces of a tensor that is listed as it is stored in the file at `path`.

        Raises:
            LimitError: its elements lie in more than `MAX_RUNS` runs, or as `counted`.
        """
        start = (0,) * len(stored.shape)
        return self.counted(_pieces_of(stored, start, path)) if stored.elements else ()

    def chunk(self, stored: TensorInfo, start: tuple[int, ...], path: str) -> tuple[Piece, ...]:
        """The pieces of a stored tensor that is the box beginning at `start` of another.

        Raises:
            LimitError: as `whole`.
        """
        return self.counted(_pieces_of(stored, start, path))


def _pieces_of(stored: TensorInfo, start: tuple[int, ...], path: str) -> Iterator[Piece]:
    if stored.strides is None:
        yield Piece(stored.span, start, stored.shape, path)
        return
    run = _run(stored.shape, stored.strides)
    extent = tuple(n if axis in run else 1 for axis, n in enumerate(stored.shape))
    steps = tuple(1 if axis in run else n for axis, n in enumerate(stored.shape))
    if prod(steps) > MAX_RUNS:
        raise LimitError(
            f"a strided chunk of shape {stored.shape} lies in {prod(steps)} runs,"
            f" at most {MAX_RUNS} are put together"
        )
    item_bytes = stored.dtype.block_bytes
    for at in product(*(range(n) for n in steps)):
        first = sum(a * stride for a, stride in zip(at, stored.strides, strict=True))
        begin = stored.span.start + first * item_bytes
        span = Span(begin, begin + prod(extent) * item_bytes)
        yield Piece(span, tuple(a + b for a, b in zip(start, at, strict=True)), extent, path)


def _run(shape: tuple[int, ...], strides: tuple[int, ...]) -> frozenset[int]:
    """Axes that together lie back to back in row-major order."""
    run: list[int] = []
    reach = 1
    for axis in reversed(range(len(shape))):
        if strides[axis] == reach and shape[axis] > 1:
            run.append(axis)
            reach *= shape[axis]
    return frozenset(run)
