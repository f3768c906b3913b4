"""A stored tensor as pieces of a larger one: one box, or several where its elements lie strided."""

from collections.abc import Iterator
from itertools import product
from math import prod

from cairn.domain import Piece, Span, TensorInfo
from cairn.errors import LimitError

MAX_RUNS = 4096
"""Boxes one strided tensor is cut into. A transposed weight needs one per column."""


def pieces_of(stored: TensorInfo, start: tuple[int, ...], path: str) -> Iterator[Piece]:
    """The pieces that hold a tensor read from the file at `path`, in a box that begins at `start`.

    Raises:
        LimitError: its elements lie in more than `MAX_RUNS` runs.
    """
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
