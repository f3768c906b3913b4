"""Plans a part as pieces of stored tensors: shards and wholes, fused and split matrices, stacks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from cairn.domain import Digest, DType, Span
from cairn.store.base_parts import BaseParts
from cairn.store.base_rule import BaseRule
from cairn.store.base_tensor import BaseTensor, GivenBases
from cairn.store.bases import Base
from cairn.store.cutting import Piece
from cairn.store.deriving import Plan
from cairn.store.landmark_index import LandmarkIndex, Marked, Matches, row_bytes
from cairn.store.landmarks import Landmarks, landmarks_in, remembered
from cairn.store.patchwork import Patchwork, explained_by_runs
from cairn.store.stripes import Grid, explained_by_columns, striped


@dataclass(frozen=True, slots=True)
class _Found:
    """What a part can be made from, and how deep it may lie."""

    predictor: str
    params: bytes
    bases: tuple[Base, ...]
    deepest: int


class Piecewise:
    """The search for the parts of one blob, in their order."""

    def __init__(
        self,
        index: LandmarkIndex,
        parts: BaseParts,
        rule: BaseRule,
        runs_of: Callable[[Digest, Span], Iterable[Base] | None],
    ) -> None:
        """`runs_of` gives the parts of a stored tensor, None if it is not to be had."""
        self._index = index
        self._parts = parts
        self._rule = rule
        self._runs_of = runs_of
        self._storage: Span | None = None
        self._landmarks: list[Landmarks] = []  # of each part of the storage so far
        # By their numbers in the index, and how deep what is made from them may lie.
        self._tensors: dict[tuple[int, int], BaseTensor | None] = {}

    def see(self, plain: bytes, piece: Piece, storage: Span) -> None:
        """Take the landmarks of the next part."""
        if self._storage != storage:
            self._storage, self._landmarks = storage, []
        self._landmarks.append(landmarks_in(plain, piece.span.start - storage.start))

    def remembered(self, storage: Span) -> Landmarks:
        """Those that are kept of the storage that was seen last."""
        return remembered(self._landmarks, storage.size_bytes)

    def plan(self, plain: bytes, piece: Piece, storage: Span, dtype: DType) -> Plan | None:
        """How to make the part that was seen last; None if too little of it is found."""
        matches = self._index.matches(self._landmarks[-1])
        if not len(matches.here):
            return None
        grid = Grid(
            row_bytes(piece.columns, dtype),
            storage.size_bytes,
            piece.span.start - storage.start,
            piece.span.stop - storage.start,
        )
        ways = [self._in_runs, self._in_columns]
        if explained_by_columns(grid, matches, self._row_bytes) > explained_by_runs(matches):
            ways.reverse()
        for way in ways:
            found = way(plain, grid, matches, storage)
            if found is not None and self._rule.permits(storage, found.bases):
                base = GivenBases(found.bases, dtype, self._parts, found.deepest)
                coding = self._rule.profile.coding(dtype)
                return Plan(base, found.predictor, found.params, coding)
        return None

    def _in_runs(
        self, plain: bytes, grid: Grid, matches: Matches, storage: Span
    ) -> "_Found | None":
        deepest = self._rule.deepest(storage, "same")
        if not deepest:
            return None
        tensor_of = partial(self._tensor, deepest)
        search = Patchwork(memoryview(plain), grid.start, grid.size_bytes, self._parts, tensor_of)
        bases = search.bases(matches)
        return None if bases is None else _Found("same", b"", bases, deepest)

    def _in_columns(
        self, plain: bytes, grid: Grid, matches: Matches, storage: Span
    ) -> "_Found | None":
        deepest = self._rule.deepest(storage, "columns")
        if not deepest or not grid.row_bytes:
            return None
        most = int(self._rule.most_read * len(plain))
        tensor_of = partial(self._tensor, deepest)
        found = striped(grid, matches, self._row_bytes, tensor_of, most)
        return None if found is None else _Found("columns", found.params, found.bases, deepest)

    def _row_bytes(self, number: int) -> int:
        marked = self._index.tensor(number)
        return 0 if marked is None else marked.row_bytes

    def _tensor(self, deepest: int, number: int) -> tuple[Marked, BaseTensor] | None:
        marked = self._index.tensor(number)
        if marked is None or not self._is_allowed(marked.blob):
            return None
        if (number, deepest) not in self._tensors:
            runs = self._runs_of(marked.blob, marked.span)
            made = None if runs is None else BaseTensor(runs, marked.dtype, self._parts, deepest)
            self._tensors[number, deepest] = made
        tensor = self._tensors[number, deepest]
        return None if tensor is None else (marked, tensor)

    def _is_allowed(self, blob: Digest) -> bool:
        return self._rule.allowed is None or self._rule.allowed(blob)
