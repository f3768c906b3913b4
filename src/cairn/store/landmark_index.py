"""The landmarks of all stored tensors, looked up by their hashes: 16 bytes of memory each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cairn.domain import Digest, DType, Span
from cairn.store.landmarks import Landmarks
from cairn.store.sketches import Sketch

# The frozen layers of a hundred fine-tunes have the same landmarks: the latest few will do.
MOST_EQUAL = 4


@dataclass(frozen=True, slots=True)
class Marked:
    """A stored tensor that has landmarks; `columns` as in `cutting.Piece`."""

    blob: Digest
    span: Span
    dtype: DType
    columns: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row; 0 if it is no matrix of whole blocks, or none that lies in its span."""
        found = row_bytes(self.columns, self.dtype)
        return found if found <= self.span.size_bytes else 0


def row_bytes(columns: int, dtype: DType) -> int:
    """Bytes of so many elements; 0 if they are not whole blocks."""
    blocks, rest = divmod(columns, dtype.block_elements)
    return 0 if rest else blocks * dtype.block_bytes


class Matches(NamedTuple):
    """Landmarks of a part that lie in stored tensors as well."""

    here: npt.NDArray[np.int64]  # (n,) place in the new storage, in words
    tensors: npt.NDArray[np.int64]  # (n,) number of a stored tensor
    there: npt.NDArray[np.int64]  # (n,) place in that tensor, in words


class _Run(NamedTuple):
    """Landmarks in the order of their hashes; of equal ones, the latest last."""

    hashes: npt.NDArray[np.uint64]
    tensors: npt.NDArray[np.uint32]
    places: npt.NDArray[np.uint32]


class LandmarkIndex:
    """Stored tensors by their landmarks."""

    def __init__(self) -> None:
        self._tensors: list[Marked | None] = []  # by number; None: gone
        # Each at least twice as long as the next: adding tensors one by one stays cheap.
        self._runs: list[_Run] = []

    def add(self, blob: Digest, sketch: Sketch) -> None:
        """Learn of one tensor."""
        hashes, places = sketch.landmarks
        number = len(self._tensors)
        self._tensors.append(Marked(blob, sketch.span, sketch.dtype, sketch.columns))
        tensors = np.full(len(hashes), number, np.uint32)
        self._runs.append(_sorted([_Run(hashes, tensors, places)]))
        while len(self._runs) > 1 and len(self._runs[-2].hashes) < 2 * len(self._runs[-1].hashes):
            self._runs[-2:] = [_sorted(self._runs[-2:])]

    def forget(self, gone: set[bytes]) -> None:
        """Drop the tensors of these blobs."""
        dropped = [
            number
            for number, marked in enumerate(self._tensors)
            if marked is not None and marked.blob.raw in gone
        ]
        for number in dropped:
            self._tensors[number] = None
        kept = [(run, ~np.isin(run.tensors, dropped)) for run in self._runs]
        self._runs = [_Run(r.hashes[m], r.tensors[m], r.places[m]) for r, m in kept]

    def tensor(self, number: int) -> Marked | None:
        """The tensor with this number; None if it is gone."""
        return self._tensors[number]

    def matches(self, wanted: Landmarks) -> Matches:
        """Where these landmarks lie in stored tensors, at most `MOST_EQUAL` places each."""
        found = [_matches(run, wanted) for run in self._runs]
        if not found:
            nothing = np.empty(0, np.int64)
            return Matches(nothing, nothing, nothing)
        return Matches(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _sorted(runs: Iterable[_Run]) -> _Run:
    hashes, tensors, places = (np.concatenate(column) for column in zip(*runs, strict=True))
    order = np.argsort(hashes, kind="stable")
    return _Run(hashes[order], tensors[order], places[order])


def _matches(run: _Run, wanted: Landmarks) -> Matches:
    stop = np.searchsorted(run.hashes, wanted.hashes, side="right")
    start = np.searchsorted(run.hashes, wanted.hashes, side="left")
    counts = np.minimum(stop - start, MOST_EQUAL)
    ends = np.cumsum(counts)
    # The last `counts` rows before each `stop`, one list after the other.
    rows = np.arange(counts.sum()) + np.repeat(stop - ends, counts)
    here = np.repeat(wanted.places, counts)
    return Matches(
        here.astype(np.int64), run.tensors[rows].astype(np.int64), run.places[rows].astype(np.int64)
    )
