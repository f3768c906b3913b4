"""Boxes found and true: mean average precision where boxes overlap by half.

A found box is right if no likelier one took the true box of its class that it overlaps most, by
0.5 of their union or more; average precision is the area under precision over recall, with
precision made falling (all points, as PASCAL VOC has it since 2010).
https://doi.org/10.1007/s11263-009-0275-4
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

_OVERLAP = 0.5
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class Box(NamedTuple):
    """A box of a class; `score` is how sure a model is, 1 for a true one."""

    kind: int
    corners: Corners
    score: float = 1.0


def overlap(one: Corners, other: Corners) -> float:
    """Area of the intersection over that of the union, from 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def _area(corners: Corners) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def box_measures(pictures: Sequence[tuple[Sequence[Box], Sequence[Box]]]) -> dict[str, float]:
    """`map_50`, from 0 to 1: the mean over classes that are somewhere true."""
    kinds = sorted({box.kind for _, true in pictures for box in true})
    precisions = [_average_precision(kind, pictures) for kind in kinds]
    return {"map_50": sum(precisions) / len(precisions) if precisions else 0.0}


def _average_precision(kind: int, pictures: Sequence[tuple[Sequence[Box], Sequence[Box]]]) -> float:
    true = {at: [b for b in its if b.kind == kind] for at, (_, its) in enumerate(pictures)}
    found = [(b, at) for at, (mine, _) in enumerate(pictures) for b in mine if b.kind == kind]
    taken: dict[int, set[int]] = defaultdict(set)
    right, points = 0, []  # (recall, precision) after each found box, the surest first
    total = sum(map(len, true.values()))
    for rank, (box, at) in enumerate(sorted(found, key=lambda one: -one[0].score), 1):
        shares = [overlap(box.corners, one.corners) for one in true[at]]
        best = max(range(len(shares)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] >= _OVERLAP and best not in taken[at]:
            taken[at].add(best)
            right += 1
        points.append((right / total, right / rank))
    area = highest = 0.0
    for number in range(len(points) - 1, -1, -1):
        recall, precision = points[number]
        highest = max(highest, precision)
        area += highest * (recall - (points[number - 1][0] if number else 0.0))
    return area
