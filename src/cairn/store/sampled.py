"""The sampled tensors of one size and type: their values in one array, searched block by block.

A search touches 256 bytes per tensor and takes no memory but a block's, however many there are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from cairn.domain import Digest, DType, Span
from cairn.store.sketches import SAMPLES, Sketch, rounded

# Rows compared at once: 1 MiB of float32, which stays in a core's cache.
BLOCK_ROWS = 4096
_FIRST_ROWS = 8


@dataclass(frozen=True, slots=True)
class Relative:
    """A stored tensor that a new one is near to."""

    blob: Digest
    sketch: Sketch
    distance: float = float("inf")


class SampledTensors:
    """Tensors in the order they came."""

    def __init__(self, dtype: DType, elements: int) -> None:
        self._dtype = dtype
        self._elements = elements
        self._places: list[tuple[Digest, Span]] = []
        self._values = np.empty((_FIRST_ROWS, SAMPLES), dtype=np.float32)

    def add(self, blob: Digest, sketch: Sketch) -> None:
        """Take one more."""
        count = len(self._places)
        if count == len(self._values):
            grown = np.empty((2 * count, SAMPLES), dtype=np.float32)
            grown[:count] = self._values
            self._values = grown
        self._values[count] = sketch.values
        self._places.append((blob, sketch.span))

    def forget(self, gone: set[bytes]) -> None:
        """Drop the tensors of these blobs."""
        kept = [n for n, (blob, _) in enumerate(self._places) if blob.raw not in gone]
        if len(kept) < len(self._places):
            self._places = [self._places[n] for n in kept]
            self._values[: len(kept)] = self._values[kept]

    def latest(self, count: int) -> Iterator[tuple[Digest, Sketch]]:
        """Those that came last, the last first."""
        rows = range(len(self._places) - 1, -1, -1)
        return map(self._tensor, rows[:count])

    def near(
        self,
        wanted: Sketch,
        within: float,
        most: int,
        allowed: Callable[[Digest], bool] | None = None,
    ) -> list[Relative]:
        """At most `most` of the nearest, none farther than `within`; the latest first of equals.

        Only of `allowed` blobs, if that is given.
        """
        distances = self._distances(wanted)
        rows = np.flatnonzero(distances <= within)[::-1]
        nearest = iter(rows[np.argsort(distances[rows], kind="stable")].tolist())
        if allowed is not None:
            nearest = (row for row in nearest if allowed(self._places[row][0]))
        return [Relative(*self._tensor(r), float(distances[r])) for r in islice(nearest, most)]

    def _tensor(self, row: int) -> tuple[Digest, Sketch]:
        blob, span = self._places[row]
        return blob, Sketch(span, self._dtype, self._elements, self._values[row].copy())

    def _distances(self, wanted: Sketch) -> npt.NDArray[np.float32]:
        """Mean differences of the samples, in units of the wanted one's mean size."""  # (n,)
        count = len(self._places)
        found = np.empty(count, dtype=np.float32)
        for at in range(0, count, BLOCK_ROWS):
            stop = min(at + BLOCK_ROWS, count)
            # Rounded, so that a cast is no farther than a copy.
            values = rounded(self._values[at:stop], wanted.dtype)
            found[at:stop] = np.abs(values - wanted.values).mean(axis=1)
        return found / (np.abs(wanted.values).mean() or np.float32(1))
