"""A flat vector laid end to end over stored tensors, and the pieces that hold a stretch of it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from cairn.domain import Piece, Span, TensorInfo
from cairn.errors import MalformedError


class FlatRuns:
    """Tensors of one axis and one dtype, each with the path of its file, in order.

    Raises:
        MalformedError: one is strided, of several axes, or of another dtype than the first.
    """

    def __init__(self, parts: Iterable[tuple[str, TensorInfo]]) -> None:
        self._parts = list(parts)
        if not self._parts:
            raise MalformedError("a flat vector without any part")
        self.dtype = self._parts[0][1].dtype
        for path, tensor in self._parts:
            plain = tensor.strides is None and len(tensor.shape) == 1 and not tensor.pieces
            if not plain or tensor.dtype is not self.dtype:
                raise MalformedError(
                    f"{tensor.name[:200]!r} of {path[:200]!r} is no flat vector of"
                    f" {self.dtype.label}"
                )
        self._stops = list(accumulate(tensor.elements for _, tensor in self._parts))

    @property
    def elements(self) -> int:
        """Elements of the whole vector."""
        return self._stops[-1]

    def pieces(self, first: int, count: int, at: int = 0) -> Iterator[Piece]:
        """Where `count` elements from `first` lie, as elements of a tensor from `at` on.

        Raises:
            MalformedError: the vector ends before.
        """
        end = first + count
        if end > self.elements:
            raise MalformedError(
                f"a flat vector ends at {self.elements}, {end} elements are wanted"
            )
        item_bytes = self.dtype.block_bytes
        number = bisect_right(self._stops, first)
        while first < end:
            path, tensor = self._parts[number]
            stop = min(end, self._stops[number])
            begin = first - (self._stops[number] - tensor.elements)
            if stop > first:
                start = tensor.span.start + begin * item_bytes
                span = Span(start, start + (stop - first) * item_bytes)
                yield Piece(span, (at,), (stop - first,), path)
            at += stop - first
            first = stop
            number += 1
