"""Which pieces of a tensor reach into each of the boxes that it is put together in.

Boxes follow each other in row-major order, so a sweep along each axis finds them: a piece is looked
at where it begins, where it ends and in the boxes between that it reaches into, however tall it is
and however many others there are.
"""

from collections.abc import Iterable, Sequence

from cairn.formats.boxes import Box

Placed = tuple[Box, int]
"""Where a piece lies, and its number."""


class PieceSweep:
    """The pieces that reach into boxes, asked for in row-major order."""

    def __init__(self, pieces: Iterable[Placed], axis: int = 0) -> None:
        """All pieces and all boxes reach over one and the same index of the axes before `axis`."""
        self._axis = axis
        known = (piece for piece in pieces if all(piece[0][1]))
        self._waiting = sorted(known, key=self._begin, reverse=True)
        self._open: list[Placed] = []
        self._row = -1
        self._in_row: PieceSweep | None = None

    def meeting(self, box: Box, shape: Sequence[int]) -> list[Placed]:
        """The pieces that reach into the next box of a tensor of this shape, if not others too."""
        (start, extent), axis = box, self._axis
        if axis == len(shape):
            return self._waiting
        is_whole = tuple(extent[axis + 1 :]) == tuple(shape[axis + 1 :])
        if is_whole or self._in_row is None or self._row != start[axis]:
            self._move(start[axis], start[axis] + extent[axis])
            # Boxes that are parts of this row need not look at what lies elsewhere in it.
            self._row = start[axis]
            self._in_row = None if is_whole else PieceSweep(self._open, axis + 1)
        if self._in_row is None:
            return self._open
        return self._in_row.meeting(box, shape)

    def _move(self, start: int, stop: int) -> None:
        self._open = [piece for piece in self._open if self._end(piece) > start]
        while self._waiting and self._begin(self._waiting[-1]) < stop:
            piece = self._waiting.pop()
            if self._end(piece) > start:
                self._open.append(piece)

    def _begin(self, piece: Placed) -> int:
        start, _ = piece[0]
        return start[self._axis] if start else 0

    def _end(self, piece: Placed) -> int:
        start, extent = piece[0]
        return start[self._axis] + extent[self._axis]
