"""Whether boxes tile a tensor: inside it, without overlap, without a gap."""

from collections.abc import Sequence
from math import prod

from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_BOX_COMPARISONS

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Where a box begins and how far it reaches, one number per axis each."""


def check_tiling(shape: tuple[int, ...], boxes: Sequence[Box], what: str) -> None:
    """Refuse boxes that do not hold every element of a tensor exactly once.

    Raises:
        MalformedError: a box of another number of axes or outside the tensor, two that overlap,
            or elements in none; the message begins with `what`.
        LimitError: too many boxes lie side by side to be compared with each other.
    """
    for start, extent in boxes:
        if len(start) != len(shape) or len(extent) != len(shape):
            raise MalformedError(f"{what}: a chunk has another number of axes than the tensor")
        if any(a + n > axis for a, n, axis in zip(start, extent, shape, strict=True)):
            raise MalformedError(
                f"{what}: a chunk at {start} of shape {extent} reaches outside {shape}"
            )
    filled = [box for box in boxes if prod(box[1])]
    _refuse_overlap(filled, what)
    held, wanted = sum(prod(extent) for _, extent in filled), prod(shape)
    # Disjoint boxes inside the tensor hold each element at most once, so counting is enough.
    if held != wanted:
        raise MalformedError(f"{what}: the chunks hold {held} of {wanted} elements")


def _refuse_overlap(boxes: list[Box], what: str) -> None:
    """Sweep along the axis with most distinct starts, comparing what is open at each point."""
    if len(boxes) < 2 or not boxes[0][0]:
        if len(boxes) > 1:
            raise MalformedError(f"{what}: two chunks overlap at ()")
        return
    axes = range(len(boxes[0][0]))
    axis = max(axes, key=lambda a: len({start[a] for start, _ in boxes}))
    compared = 0
    opened: list[Box] = []
    for box in sorted(boxes, key=lambda box: box[0][axis]):
        start, extent = box
        opened = [(s, e) for s, e in opened if s[axis] + e[axis] > start[axis]]
        compared += len(opened) + 1
        if compared > MAX_BOX_COMPARISONS:
            raise LimitError(f"{what}: too many chunks lie side by side")
        for other, reach in opened:
            if all(
                a < b + m and b < a + n
                for a, n, b, m in zip(start, extent, other, reach, strict=True)
            ):
                raise MalformedError(f"{what}: two chunks overlap at {start}")
        opened.append(box)
