"""Finds of which runs of stored tensors a part is put together: shards, fused and stacked matrices.

Landmarks say where to look. What they say is compared byte by byte, so that a run ends where the
bytes do; nothing is found that is only near.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cairn.errors import IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.base_tensor import BaseTensor
from cairn.store.bases import Base, BaseBytes
from cairn.store.landmark_index import Marked, Matches
from cairn.store.landmarks import WORD_BYTES

# A shorter run costs more in the table of bases and in reading than it saves.
MIN_RUN_BYTES = 4 << 10

# Tables of bases are short (`MAX_BASES`), and a run may need two or three of them.
MAX_RUNS = 12

# How many pairs of a tensor and a distance are tried: each may decode a part.
MAX_TRIED = 24

# Where less of a part is found, what stands in for the rest would not pay.
MIN_SHARE = 0.5

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes `start .. stop` of the part are those of a tensor, `shift` bytes further on."""

    start: int
    stop: int
    tensor: BaseTensor
    shift: int

    def bases(self) -> tuple[Base, ...] | None:
        """What makes them."""
        return self.tensor.bases(self.start + self.shift, self.stop + self.shift)


class Patchwork:
    """The search for one part."""

    def __init__(
        self,
        plain: memoryview,
        start: int,
        storage_bytes: int,
        parts: BaseParts,
        tensor_of: Callable[[int], tuple[Marked, BaseTensor] | None],
    ) -> None:
        """A part at byte `start` of a storage; `tensor_of` gives stored tensors by number."""
        self._plain = np.frombuffer(plain, np.uint8)
        self._start = start
        self._storage_bytes = storage_bytes
        self._parts = parts
        self._tensor_of = tensor_of
        self._runs: list[_Run] = []

    def bases(self, matches: Matches) -> tuple[Base, ...] | None:
        """What makes the part; other bytes stand in for those not found. None if they are many."""
        for number, shift, places in _shifts(matches, self._start):
            found = self._tensor_of(number)
            if found is not None and not self._is_like(found[0], shift):
                self._look(*found, shift, places)
            if self._missing() == 0 or len(self._runs) >= MAX_RUNS:
                break
        if self._missing() > (1 - MIN_SHARE) * len(self._plain):
            return None
        return self._joined()

    def _is_like(self, marked: Marked, shift: int) -> bool:
        """Whether the tensor has the part's bytes where the part has them: one for a difference."""
        return shift == self._start and marked.span.size_bytes == self._storage_bytes

    def _missing(self) -> int:
        return len(self._plain) - sum(run.stop - run.start for run in self._runs)

    def _look(self, marked: Marked, tensor: BaseTensor, shift: int, places: list[int]) -> None:
        """Take the runs of equal bytes around these places."""
        low, high = max(0, -shift), min(len(self._plain), marked.span.size_bytes - shift)
        differs = self._differences(tensor, shift, low, high) if low < high else None
        if differs is None:
            return
        for place in places:
            if len(self._runs) >= MAX_RUNS:
                return
            after = int(np.searchsorted(differs, place))
            start = int(differs[after - 1]) + 1 if after else low
            stop = int(differs[after]) if after < len(differs) else high
            first, last = self._gap(place)
            start, stop = max(start, first), min(stop, last)
            if stop - start >= MIN_RUN_BYTES:
                self._runs.append(_Run(start, stop, tensor, shift))

    def _differences(self, tensor: BaseTensor, shift: int, low: int, high: int) -> Numbers | None:
        """Where in `low .. high` the part has other bytes; None if the tensor is not to be had."""
        bases = tensor.bases(low + shift, high + shift)
        if bases is None or tensor.depth(bases) is None:
            return None
        with self._parts.scratch.bytes(high - low) as theirs:
            try:
                BaseBytes(bases, self._parts.sound_base_into).read_into(theirs)
            except (IntegrityError, UnavailableError):
                return None
            return np.flatnonzero(np.frombuffer(theirs, np.uint8) != self._plain[low:high]) + low

    def _gap(self, place: int) -> tuple[int, int]:
        """The bytes around a place that are in no run; none if it is in one."""
        low, high = 0, len(self._plain)
        for run in self._runs:
            if run.start <= place < run.stop:
                return place, place
            if run.stop <= place:
                low = max(low, run.stop)
            else:
                high = min(high, run.start)
        return low, high

    def _joined(self) -> tuple[Base, ...] | None:
        """The bases of all runs in order, and of what stands in for the gaps between them."""
        joined: list[Base] = []
        for run in self._filled():
            bases = run.bases()
            if bases is None:
                return None
            joined += bases
        return tuple(joined)

    def _filled(self) -> Iterator[_Run]:
        at = 0
        for run in sorted(self._runs, key=lambda run: run.start):
            if at < run.start:
                yield _Run(at, run.start, run.tensor, -at)
            yield run
            at = run.stop
        if at < len(self._plain):
            last = self._runs[-1]
            yield _Run(at, len(self._plain), last.tensor, -at)


def explained_by_runs(matches: Matches) -> int:
    """How many landmarks agree with the longest run."""
    _, _, counts = _counted(matches)
    return int(counts.max(initial=0))


def _shifts(matches: Matches, start: int) -> Iterator[tuple[int, int, list[int]]]:
    """Tensors and by how many bytes the part is shifted in them, the most landmarks first.

    With each, the places in the part.
    """
    pairs, group, counts = _counted(matches)
    for number in np.argsort(-counts, kind="stable")[:MAX_TRIED]:
        tensor, shift = pairs[number].tolist()
        places = np.sort(matches.here[group == number] * WORD_BYTES - start)
        yield tensor, shift * WORD_BYTES + start, places.tolist()


def _counted(matches: Matches) -> tuple[Numbers, Numbers, Numbers]:
    """Tensors with distances in words (n, 2), which each match has, and how many have each (n,)."""
    pairs = np.stack([matches.tensors, matches.there - matches.here], axis=1)
    found, group, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return found, group.ravel(), counts
