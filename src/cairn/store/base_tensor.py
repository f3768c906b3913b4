"""A stored tensor as the base of another: which parts hold what, and how deep they lie."""

from cairn.domain import DType, Span
from cairn.store.bases import MAX_BASES, Base
from cairn.store.parts import PartStore
from cairn.store.recipes import Recipe


class BaseTensor:
    """One storage of a blob that is kept as a recipe."""

    def __init__(
        self, recipe: Recipe, span: Span, dtype: DType, parts: PartStore, max_chain: int
    ) -> None:
        """What is made from it is at most `max_chain` deep."""
        self.dtype = dtype
        self._recipe = recipe
        self._span = span
        self._parts = parts
        self._max_chain = max_chain

    def bases(self, start: int, stop: int) -> tuple[Base, ...] | None:
        """What makes the tensor's bytes `start .. stop`, in parts that are not too deep.

        None if it is spread over too many parts.
        """
        at = self._span.start
        slices = list(self._recipe.slices(at + start, min(at + stop, self._span.stop)))
        if len(slices) > MAX_BASES:
            return None
        return tuple(
            self._shallow(Base(self._recipe.part(piece.part).digest, piece.start, piece.stop))
            for piece in slices
        )

    def depth(self, bases: tuple[Base, ...]) -> int | None:
        """That of a part made from these; None if one may go, or it would be too deep."""
        deepest = 0
        for base in bases:
            depth = self._parts.lasting_depth(base.digest, below=self._max_chain)
            if depth is None:
                return None
            deepest = max(deepest, depth)
        return deepest + 1

    def _shallow(self, base: Base) -> Base:
        """The base, or if its chain is as long as allowed, where that chain began."""
        if self._parts.lasting_depth(base.digest, below=self._max_chain) is not None:
            return base
        return self._parts.origin(base)
