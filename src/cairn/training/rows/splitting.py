"""Which rows are learnt from and which are measured with: by what a row says, and a seed.

A row stays on its side when others are added, removed or put in another order, and the same row
twice is never on both. Of a few rows chance may put all on one side: then the one nearest to the
other goes there, so that small data are measured with as well.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cairn.errors import RequestError
from cairn.training.rows.base import Rows, content

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of rows: those that are learnt from, and those that are held out."""

    learnt: Sequence[int]
    held_out: Sequence[int]


def split(rows: Rows, share: float, seed: int) -> Split:
    """Hold out about `share` of the rows, and at least what one of them says; each is read once.

    Raises:
        RequestError: all rows say the same, or there is one, or none.
    """
    if not share:
        return Split(range(len(rows)), ())
    placed = array("Q")
    key = seed.to_bytes(16, "big", signed=True)
    for number in range(len(rows)):
        told = blake2b(content(rows[number]), digest_size=_HASH_BYTES, key=key).digest()
        placed.append(int.from_bytes(told, "big"))
    below = _boundary(rows, placed, int(share * 2 ** (8 * _HASH_BYTES)))
    learnt = array("q", (number for number, place in enumerate(placed) if place >= below))
    held_out = array("q", (number for number, place in enumerate(placed) if place < below))
    return Split(learnt, held_out)


def _boundary(rows: Rows, placed: Sequence[int], wanted: int) -> int:
    """The place below which rows are held out: the wanted one if it leaves a row on each side."""
    lowest, highest = min(placed, default=0), max(placed, default=0)
    if lowest == highest:
        count = len(rows)
        there = f"{count} rows that all say the same" if count > 1 else ("no rows", "1 row")[count]
        raise RequestError(
            f"{rows.name} has {there}, so none can be held out beside one to learn from: name data"
            " to measure with by --eval-data, or hold out nothing by --held-out 0"
        )
    return min(max(wanted, lowest + 1), highest)
