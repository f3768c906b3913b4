"""Finds the stored tensors nearest to a new one, by samples of their values."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cairn.domain import Digest, DType
from cairn.store.backends import Backend
from cairn.store.conversions import conversion
from cairn.store.decays import share_a_ratio
from cairn.store.holdings import digests_under
from cairn.store.keys import SKETCHES
from cairn.store.landmark_index import LandmarkIndex
from cairn.store.sampled import Relative, SampledTensors
from cairn.store.sketches import Sketch, load_sketches

# Mean distance of sampled values in units of their mean size. Unrelated weights of one layer
# have about 1.1 (the difference of two independent normal numbers, sqrt(2)); a fine-tune 0.001
# to 0.1. Beyond this a difference takes no fewer bits than the value.
MAX_DISTANCE = 0.7

# Many tensors may hold the same values, such as the frozen layers of a hundred fine-tunes: so
# many are named, for the planner to tell apart.
MOST = 32

# Moments that decayed for many steps are far from what they were, in one ratio. They are looked
# for among so many tensors of the size that came last.
LATEST = 8

# Distances by 64 values are right to some 20 %: a second tensor this much farther is not nearer.
RIVAL_SHARE = 1.3

Allowed = Callable[[Digest], bool]


class Kin:
    """The sketches of one store in memory; used by one optimize at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._since_s: dict[bytes, float] = {}  # by blob, Unix seconds
        self._by_elements: dict[int, dict[DType, SampledTensors]] = defaultdict(dict)
        self.landmarks = LandmarkIndex()

    def refresh(self) -> None:
        """Learn which blobs were rewritten or removed since the last time."""
        found = dict(digests_under(self._backend, SKETCHES))
        new = [digest for digest in found if digest.raw not in self._since_s]
        for digest in sorted(new, key=lambda digest: found[digest].modified_s):
            self.add(digest, load_sketches(self._backend, digest), found[digest].modified_s)
        gone = self._since_s.keys() - {digest.raw for digest in found}
        if gone:
            self._forget(gone)

    def add(self, blob: Digest, sketches: Iterable[Sketch], since_s: float | None = None) -> None:
        """Learn of tensors of a blob, rewritten at this Unix time (None: now)."""
        self._since_s.setdefault(blob.raw, time.time() if since_s is None else since_s)
        for sketch in sketches:
            alike = self._by_elements[sketch.elements]
            if sketch.dtype not in alike:
                alike[sketch.dtype] = SampledTensors(sketch.dtype, sketch.elements)
            alike[sketch.dtype].add(blob, sketch)
            self.landmarks.add(blob, sketch)

    @contextmanager
    def learning(self, blob: Digest) -> Iterator[None]:
        """Learn of a blob while it is rewritten; forget it if that fails."""
        try:
            yield
        except BaseException:
            self._forget({blob.raw})
            raise

    def _forget(self, gone: set[bytes]) -> None:
        for blob in gone:
            self._since_s.pop(blob, None)
        self.landmarks.forget(gone)
        for alike in self._by_elements.values():
            for tensors in alike.values():
                tensors.forget(gone)

    def is_older(self, blob: Digest, than: Digest) -> bool:
        """Whether a blob was rewritten before another; so was any before one without sketches."""
        since_s = self._since_s.get(than.raw, float("inf"))
        return blob != than and self._since_s.get(blob.raw, float("inf")) < since_s

    def has_size(self, elements: int) -> bool:
        """Whether there are tensors of so many elements."""
        return elements in self._by_elements

    def smaller_sizes(self, elements: int, row_elements: int) -> list[int]:
        """Numbers of elements that tensors have with some rows less, the largest first."""
        fitting = (n for n in self._by_elements if n % row_elements == 0)
        return sorted((n for n in fitting if elements <= 2 * n < 2 * elements), reverse=True)

    def nearest(self, wanted: Sketch, allowed: Allowed | None = None) -> list[Relative]:
        """Tensors that are near and can predict it, the nearest first.

        Few where one is clearly nearest. The latest added wins among equals: the previous step
        of a series. What blocks may have been quantised from comes before blocks: it is farther
        by what quantising rounds away, and yet the better prediction. If only some blobs are
        `allowed`, beside equal tensors, one of which may be the wanted one, the nearest others are
        named.
        """
        alike = self._by_elements.get(wanted.elements, {})
        can = [dtype for dtype in alike if conversion(dtype, wanted.dtype) is not None]
        same = [alike[dtype] for dtype in can if dtype is wanted.dtype]
        others = [alike[dtype] for dtype in can if dtype is not wanted.dtype]
        if wanted.dtype.is_block_quantised:
            return _nearest(others, wanted, allowed) + _nearest(same, wanted, allowed)
        found = _nearest(same + others, wanted, allowed)
        return found or _in_one_ratio(same, wanted, allowed)


def _nearest(
    tensors: list[SampledTensors], wanted: Sketch, allowed: Allowed | None
) -> list[Relative]:
    """At most `MOST` of these; of equals, the first in the list."""
    near = [found for each in tensors for found in each.near(wanted, MAX_DISTANCE, MOST, allowed)]
    near.sort(key=lambda relative: relative.distance)
    distances = [r.distance for r in near if allowed is None or r.distance > 0]
    farthest = RIVAL_SHARE * distances[0] if distances else 0.0
    return [r for r in near[:MOST] if r.distance <= farthest]


def _in_one_ratio(
    tensors: list[SampledTensors], wanted: Sketch, allowed: Allowed | None
) -> list[Relative]:
    """The latest that the wanted values are in one ratio to."""
    for each in tensors:
        for blob, sketch in each.latest(LATEST):
            if allowed is not None and not allowed(blob):
                continue
            if share_a_ratio(sketch.values, wanted.values):
                return [Relative(blob, sketch)]
    return []
