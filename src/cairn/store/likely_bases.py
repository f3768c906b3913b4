"""What a blob was probably made from, as those who know its origin tell the store.

Tensors of the same name and shape are tried as bases before those that sketches find: also
those too small for a sketch, of types that have none, or whose few sampled values mislead.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cairn.domain import Digest, Layout, Span, Storage, TensorInfo

# A trial takes as long as coding 128 KiB. The parent and the step before are worth one each.
TRIED_BY_NAME = 2


@dataclass(frozen=True, slots=True)
class LikelyBase:
    """A blob that another was probably made from, and its layout."""

    digest: Digest
    layout: Layout


class Namesakes:
    """The tensors of likely bases by the storages of a blob that have tensors of the same name."""

    def __init__(self, layout: Layout | None, likely: Iterable[LikelyBase] = ()) -> None:
        """`likely` in the order in which they are tried."""
        self._bases = list(likely) if layout is not None else []
        self._own: dict[Span, TensorInfo] = {}
        if layout is not None and self._bases:
            self._own = {tensor.span: tensor for tensor in _plain_tensors(layout)}
        self._by_name: dict[str, list[tuple[Digest, TensorInfo]]] | None = None

    def of(self, storage: Span) -> list[tuple[Digest, Storage]]:
        """Where tensors of the name and shape of this storage's lie, at most `TRIED_BY_NAME`.

        If there are none, where those lie whose rows are as long.
        """
        own = self._own.get(storage)
        if own is None:
            return []
        named = self._named().get(own.key, ())
        alike = [one for one in named if one[1].shape == own.shape]
        if not alike and len(own.shape) > 1:
            alike = [one for one in named if one[1].shape[1:] == own.shape[1:]]
        return [(blob, Storage(t.span, t.dtype)) for blob, t in alike[:TRIED_BY_NAME]]

    def _named(self) -> dict[str, list[tuple[Digest, TensorInfo]]]:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for base in self._bases:
                for tensor in _plain_tensors(base.layout):
                    self._by_name[tensor.key].append((base.digest, tensor))
        return self._by_name


def _plain_tensors(layout: Layout) -> Iterator[TensorInfo]:
    """Tensors whose bytes lie one after the other in the file."""
    for tensor in layout.tensors:
        if tensor.strides is None and not tensor.pieces and tensor.elements:
            yield tensor
