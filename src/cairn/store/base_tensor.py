"""A tensor as the base of another: which parts hold what, and how deep they lie."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, cycle

from cairn.domain import DType
from cairn.store.base_parts import BaseParts
from cairn.store.bases import MAX_BASES, Base


class BaseTensor:
    """One storage that is kept in parts, of this blob or another."""

    def __init__(
        self, runs: Iterable[Base], dtype: DType, parts: BaseParts, max_chain: int
    ) -> None:
        """Its bytes are `runs`, one after the other.

        What is made from it is at most `max_chain` deep.
        """
        self.dtype = dtype
        self._runs = tuple(runs)
        self._stops = list(accumulate(run.size_bytes for run in self._runs))
        self._parts = parts
        self._max_chain = max_chain
        # While a blob is optimized no part goes and none gets shallower: each is looked up once.
        self._found: dict[bytes, int | None] = {}
        self._origins: dict[Base, Base] = {}

    def bases(self, start: int, stop: int) -> tuple[Base, ...] | None:
        """What makes the tensor's bytes `start .. stop`, in parts that are not too deep.

        None if it is spread over too many parts.
        """
        found: list[Base] = []
        for number in range(bisect_right(self._stops, start), len(self._runs)):
            run = self._runs[number]
            first = self._stops[number] - run.size_bytes
            if first >= stop:
                break
            if len(found) == MAX_BASES:
                return None
            piece = run.run(max(start - first, 0), min(stop - first, run.size_bytes))
            found.append(self._shallow(piece))
        return tuple(found)

    def origin(self) -> "BaseTensor":
        """What it was made from in the end; itself if it was made from nothing."""
        runs = tuple(self._parts.origin(run) for run in self._runs)
        if runs == self._runs:
            return self
        return BaseTensor(runs, self.dtype, self._parts, self._max_chain)

    def depth(self, bases: tuple[Base, ...]) -> int | None:
        """That of a part made from these; None if one may go, or it would be too deep."""
        deepest = 0
        for base in bases:
            depth = self._depth(base.digest)
            if depth is None:
                return None
            deepest = max(deepest, depth)
        return deepest + 1

    def _shallow(self, base: Base) -> Base:
        """The base, or if its chain is as long as allowed, where that chain began."""
        if self._depth(base.digest) is not None:
            return base
        if base not in self._origins:
            self._origins[base] = self._parts.origin(base)
        return self._origins[base]

    def _depth(self, digest: bytes) -> int | None:
        """How deep a part lies that stays and is not too deep."""
        if digest not in self._found:
            self._found[digest] = self._parts.depth(digest, below=self._max_chain)
        return self._found[digest]


def fitted(runs: Iterable[Base], size_bytes: int) -> Iterator[Base]:
    """Runs of so many bytes: cut short, or begun anew where they end; none if there are none."""
    given = [run for run in runs if run.size_bytes]
    for run in cycle(given):
        if size_bytes <= 0:
            return
        yield run.run(0, min(run.size_bytes, size_bytes))
        size_bytes -= run.size_bytes


class GivenBases(BaseTensor):
    """Bases of a single part: all of them, whichever bytes are asked for."""

    def bases(self, start: int, stop: int) -> tuple[Base, ...] | None:
        """All of them; None if they are too many."""
        del start, stop
        if len(self._runs) > MAX_BASES:
            return None
        return tuple(map(self._shallow, self._runs))
