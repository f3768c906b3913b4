"""Plans a part as pieces of stored tensors: shards and wholes, fused and split matrices, stacks."""

from collections.abc import Callable, Iterable

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

# How many bytes of bases may be read for one of a part: a sixteenth of the columns is cut out of
# whole rows, and a few more. Where reading has to be fast, only halves are.
MOST_READ = 18
MOST_READ_QUICKLY = 2.5


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
        self._max_chain = 0
        self._tensors: dict[int, BaseTensor | None] = {}  # by their numbers in the index

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
        self._use_chain(self._rule.deepest(storage, "same"))
        if not len(matches.here) or not self._max_chain:
            return None
        grid = Grid(
            row_bytes(piece.columns, dtype),
            storage.size_bytes,
            piece.span.start - storage.start,
            piece.span.stop - storage.start,
        )
        in_columns = explained_by_columns(grid, matches, self._row_bytes)
        ways = [self._in_runs, self._in_columns]
        if in_columns > explained_by_runs(matches):
            ways.reverse()
        for way in ways:
            plan = way(plain, grid, matches, dtype)
            if plan is None:
                continue
            bases = plan.base.bases(0, len(plain))
            if bases is not None and self._rule.permits(storage, bases):
                return plan
        return None

    def _use_chain(self, max_chain: int) -> None:
        if max_chain != self._max_chain:
            self._max_chain, self._tensors = max_chain, {}

    def _in_runs(self, plain: bytes, grid: Grid, matches: Matches, dtype: DType) -> Plan | None:
        search = Patchwork(
            memoryview(plain), grid.start, grid.size_bytes, self._parts, self._tensor
        )
        bases = search.bases(matches)
        return None if bases is None else self._plan("same", b"", bases, dtype)

    def _in_columns(self, plain: bytes, grid: Grid, matches: Matches, dtype: DType) -> Plan | None:
        if not grid.row_bytes:
            return None
        most = int((MOST_READ_QUICKLY if self._rule.profile.quick else MOST_READ) * len(plain))
        found = striped(grid, matches, self._row_bytes, self._tensor, most)
        return None if found is None else self._plan("columns", found.params, found.bases, dtype)

    def _plan(self, predictor: str, params: bytes, bases: tuple[Base, ...], dtype: DType) -> Plan:
        base = GivenBases(bases, dtype, self._parts, self._max_chain)
        return Plan(base, predictor, params, self._rule.profile.coding(dtype))

    def _row_bytes(self, number: int) -> int:
        marked = self._index.tensor(number)
        return 0 if marked is None else marked.row_bytes

    def _tensor(self, number: int) -> tuple[Marked, BaseTensor] | None:
        marked = self._index.tensor(number)
        if marked is None or not self._is_allowed(marked.blob):
            return None
        if number not in self._tensors:
            self._tensors[number] = self._opened(marked)
        tensor = self._tensors[number]
        return None if tensor is None else (marked, tensor)

    def _is_allowed(self, blob: Digest) -> bool:
        return self._rule.allowed is None or self._rule.allowed(blob)

    def _opened(self, marked: Marked) -> BaseTensor | None:
        runs = self._runs_of(marked.blob, marked.span)
        if runs is None:
            return None
        return BaseTensor(runs, marked.dtype, self._parts, self._max_chain)
