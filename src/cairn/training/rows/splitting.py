"""Which rows are learnt from and which are measured with: by what a row says, and a seed.

A row stays on its side when others are added, removed or put in another order, and the same row
twice is never on both.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cairn.errors import RequestError
from cairn.training.rows.base import Rows

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of rows: those that are learnt from, and those that are held out."""

    learnt: Sequence[int]
    held_out: Sequence[int]


def split(rows: Rows, share: float, seed: int) -> Split:
    """Hold out about `share` of the rows; every row is read once.

    Raises:
        RequestError: a side would be empty.
    """
    if not share:
        return Split(range(len(rows)), ())
    learnt, held_out = array("q"), array("q")
    below = int(share * 2 ** (8 * _HASH_BYTES))
    key = seed.to_bytes(16, "big", signed=True)
    for number in range(len(rows)):
        told = blake2b(rows.content(number), digest_size=_HASH_BYTES, key=key).digest()
        (held_out if int.from_bytes(told, "big") < below else learnt).append(number)
    if not learnt or not held_out:
        side = "hold out" if not held_out else "learn from"
        raise RequestError(
            f"{rows.name} has {len(rows)} row{'s' if len(rows) > 1 else ''}, of which this seed"
            f" leaves none to {side} (rows that say the same stay together):"
            " name data to measure with by --eval-data, or another share by --held-out"
        )
    return Split(learnt, held_out)
