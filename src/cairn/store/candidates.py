"""The tensors that a new one may be made from: namesakes in likely bases, and near ones."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isfinite, prod

from cairn.domain import Digest, DType, Source, Span, Storage
from cairn.errors import BlobNotFoundError, IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.base_rule import BaseRule
from cairn.store.base_tensor import BaseTensor, fitted
from cairn.store.bases import Base
from cairn.store.conversions import conversion
from cairn.store.cutting import Piece
from cairn.store.deriving import Plan, bases_of
from cairn.store.holdings import load_recipe
from cairn.store.kin import Kin
from cairn.store.likely_bases import Namesakes
from cairn.store.parts import PartStore
from cairn.store.piecewise import Piecewise
from cairn.store.rearranging import Rearranged, Rearranging
from cairn.store.recipes import Recipe
from cairn.store.sketches import Sketch, can_sketch, take_sketch

# How many near tensors are tried. Quantising moves a value by up to a twelfth, which hides
# from the sketches what a training changed; but of the right tensor nothing differs at all.
RIVALS = {"same": 2, "cast": 2, "cast-f8": 2, "quantise": 8}

# How many sizes of smaller tensors are looked at: vocabularies grow by a few steps.
MOST_SIZES = 4


class Candidates:
    """Those for the storages of one blob, whose sketches it takes."""

    def __init__(
        self,
        blob: Digest,
        stored: PartStore,
        kin: Kin,
        rule: BaseRule,
        namesakes: Namesakes,
        sketches: Iterable[Sketch] = (),
    ) -> None:
        """`kin` learns of the blob's tensors as they are passed: later ones may be near to them.

        `sketches` are those that it knows already.
        """
        self.parts = BaseParts(stored)
        self._blob = blob
        self._backend = stored.backend
        self._kin = kin
        self._rule = rule
        self._namesakes = namesakes
        self._recipes: dict[bytes, Recipe | None] = {}
        self._sketches = {sketch.span: sketch for sketch in sketches}
        self._known = frozenset(self._sketches)
        self._runs: dict[Span, list[Base]] = {}  # of those that have sketches
        self._done: set[Span] = set()
        self._preferred: Digest | None = None
        self._piecewise = Piecewise(kin.landmarks, self.parts, rule, self._runs_of)
        self._rearranging = Rearranging(kin, self.parts, rule, self._runs_of)

    @property
    def sketches(self) -> list[Sketch]:
        """Those of all storages seen so far."""
        return list(self._sketches.values())

    def see(self, source: Source, piece: Piece, digest: bytes) -> None:
        """Take the sketch of a piece's storage, unless that is too small or of no number type."""
        span, dtype = piece.storage, piece.dtype
        if span is None or dtype is None or not can_sketch(dtype, span.size_bytes):
            return
        if span not in self._sketches:
            self._sketches[span] = take_sketch(source, span, dtype)
        self._runs.setdefault(span, []).append(Base(digest, 0, piece.span.size_bytes))
        plain = source.read_at(piece.span.start, piece.span.size_bytes)
        self._piecewise.see(plain, piece, span)

    def seen(self, piece: Piece) -> None:
        """A piece is done with; its storage serves as base for the next ones if it was the last."""
        sketch = self._sketches.get(piece.storage) if piece.storage else None
        if sketch is not None and piece.span.stop == sketch.span.stop:
            if sketch.span not in self._known:
                landmarks = self._piecewise.remembered(sketch.span)
                sketch = replace(sketch, columns=piece.columns, landmarks=landmarks)
                self._sketches[sketch.span] = sketch
                self._kin.add(self._blob, [sketch])
            self._done.add(sketch.span)

    def piecewise(self, plain: bytes, piece: Piece) -> Plan | None:
        """How to make the piece that was seen last from pieces of tensors; None if they are few."""
        if piece.storage not in self._sketches or piece.dtype is None:
            return None
        return self._piecewise.plan(plain, piece, piece.storage, piece.dtype)

    def plans(self, source: Source, piece: Piece, window: Span) -> Iterator[Plan]:
        """Plans for a piece's storage whose bytes in a window they make from different bases.

        The likeliest come first.
        """
        span, dtype = piece.storage, piece.dtype
        if span is None or dtype is None:
            return
        seen: set[tuple[Base, ...]] = set()

        def is_new(plan: Plan) -> bool:
            bases = bases_of(plan, window.start, window.size_bytes, dtype)
            if bases is None or bases in seen or not self._rule.permits(span, bases):
                return False
            seen.add(bases)
            return True

        for blob, storage in self._namesakes.of(span):
            if self._rule.allowed is not None and not self._rule.allowed(blob):
                continue
            plan = self._plan(blob, storage, span, dtype)
            if plan is not None and is_new(plan):
                yield plan
        tried: Counter[str] = Counter()
        for blob, storage in self._near(span):
            plan = self._plan(blob, storage, span, dtype)
            if plan is None or tried[plan.predictor] >= RIVALS[plan.predictor]:
                continue
            if is_new(plan):
                tried[plan.predictor] += 1
                yield plan
        for blob, storage in () if seen else self._with_less_rows(source, piece):
            plan = self._plan(blob, storage, span, dtype)
            if plan is not None and is_new(plan):
                yield plan
                return

    def rearranged(self, source: Source, piece: Piece) -> list[Rearranged]:
        """The stored tensors that a piece's is near to with its axes in another order."""
        if piece.storage not in self._sketches or piece.dtype is None or not piece.shape:
            return []
        return self._rearranging.find(source, piece.storage, piece.dtype, piece.shape)

    def prefer(self, blob: Digest) -> None:
        """A blob made one of the tensors: try those of the next that are near soon."""
        self._preferred = blob

    def _near(self, span: Span) -> Iterator[tuple[Digest, Storage]]:
        """The nearest, then those of the preferred blob, then the others."""
        sketch = self._sketches.get(span)
        near = self._kin.nearest(sketch, self._rule.allowed) if sketch else []
        near[1:] = sorted(near[1:], key=lambda relative: relative.blob != self._preferred)
        for relative in near:
            yield relative.blob, Storage(relative.sketch.span, relative.sketch.dtype)

    def _with_less_rows(self, source: Source, piece: Piece) -> Iterator[tuple[Digest, Storage]]:
        """Tensors that are near to the first rows: embeddings before tokens were added."""
        span, dtype, row = piece.storage, piece.dtype, prod(piece.shape[1:])
        if span is None or dtype is None or len(piece.shape) < 2 or span not in self._sketches:
            return
        for elements in self._kin.smaller_sizes(row * piece.shape[0], row)[:MOST_SIZES]:
            first_rows = Span(span.start, span.start + dtype.size_bytes(elements))
            sketch = take_sketch(source, first_rows, dtype)
            for relative in self._kin.nearest(sketch, self._rule.allowed):
                if isfinite(relative.distance):
                    yield relative.blob, Storage(relative.sketch.span, relative.sketch.dtype)

    def _plan(self, blob: Digest, storage: Storage, span: Span, dtype: DType) -> Plan | None:
        """Make the tensor at `span` from another storage; None if that is not to be had."""
        how = conversion(storage.dtype, dtype)
        runs = self._runs_of(blob, storage.span)
        if how is None or runs is None:
            return None
        deepest = self._rule.deepest(span, how.predictor)
        if not deepest:
            return None
        elements = span.size_bytes // dtype.block_bytes * dtype.block_elements
        size_bytes = storage.dtype.size_bytes(elements)
        base = BaseTensor(fitted(runs, size_bytes), storage.dtype, self.parts, deepest)
        coding = self._rule.profile.coding(dtype)
        falls_short = storage.span.size_bytes < size_bytes
        return Plan(base, how.predictor, how.params, coding, falls_short=falls_short, blob=blob)

    def _runs_of(self, blob: Digest, span: Span) -> Iterable[Base] | None:
        """The parts of a storage; None if its blob is no recipe, or this one and not that far."""
        if blob == self._blob:
            return self._runs[span] if span in self._done else None
        recipe = self._recipe(blob)
        return None if recipe is None else recipe.bases(span.start, span.stop)

    def _recipe(self, digest: Digest) -> Recipe | None:
        if digest.raw not in self._recipes:
            try:
                self._recipes[digest.raw] = load_recipe(self._backend, digest)
            except (BlobNotFoundError, IntegrityError, UnavailableError):
                self._recipes[digest.raw] = None
        return self._recipes[digest.raw]
