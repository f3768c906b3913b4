"""A low-rank update as parts of its own: its numbers, and which of them a part needs.

The factors of a matrix are kept as one run of numbers (`predictors/low_rank.py` says how): the
right factor, then the left one, row by row, cut into parts. No recipe names these parts; the
parts that are made with them do, in their tables of bases.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from blake3 import blake3

from cairn.domain import DType
from cairn.plugins import Registry
from cairn.store.bases import Base
from cairn.store.codec import Codec
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.packs import Encoded
from cairn.store.predictors.low_rank import (
    LARGEST_NUMBER,
    MAX_POWER,
    NUMBER_BYTES,
    LowRankParams,
    encode_numbers,
)
from cairn.store.solo import encode_alone

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class LowRankUpdate:
    """What is added to a base, for the whole matrix; `shape` is that of its first element."""

    shape: LowRankParams
    plains: dict[bytes, bytes]  # the numbers, cut into parts: by digest, in order

    @classmethod
    def of(
        cls, left: Array, right: Array, step: float, base: DType, *, rounds: bool
    ) -> Self | None:
        """Round (rows, n) and (n, columns) so that the update errs by about `step` per direction.

        A number may be the coarser, the smaller those are that it is multiplied by. None if
        there is no finite answer. `base` and `rounds` are those of `LowRankParams`.
        """
        lefts = _powers(step, np.sqrt(np.mean(right**2, axis=1)), np.abs(left).max(axis=0))
        rights = _powers(step, np.sqrt(np.mean(left**2, axis=0)), np.abs(right).max(axis=1))
        powers = tuple(int(power) for power in lefts + rights)
        if any(abs(power) > MAX_POWER for power in powers):
            return None
        numbers = encode_numbers(np.rint(np.ldexp(right, -rights[:, None])))
        numbers += encode_numbers(np.rint(np.ldexp(left, -lefts)))
        cuts = range(0, len(numbers), MAX_PART_BYTES)
        plains = [numbers[at : at + MAX_PART_BYTES] for at in cuts]
        shape = LowRankParams(base, rounds, right.shape[1], 0, powers)
        return cls(shape, {blake3(plain).digest(): plain for plain in plains})

    def params(self, first: int) -> bytes:
        """The parameters for a part that starts at element `first` of the matrix."""
        return self.shape.starting_at(first % self.shape.columns).encode()

    def bases(self, first: int, count: int) -> tuple[Base, ...]:
        """The numbers that `count` elements from `first` on are made with."""
        row, column = divmod(first, self.shape.columns)
        rows = self.shape.starting_at(column).rows(count)
        row_bytes = NUMBER_BYTES * len(self.shape.powers)
        right_bytes = row_bytes * self.shape.columns
        start = right_bytes + row_bytes * row
        return (*self._run(start, start + row_bytes * rows), *self._run(0, right_bytes))

    def read_into(self, base: Base, out: memoryview) -> bool:
        """Whether the base is one of these parts, which need not be stored yet; if so, read it."""
        plain = self.plains.get(base.digest)
        if plain is not None:
            out[:] = memoryview(plain)[base.start : base.stop]
        return plain is not None

    def encoded(self, codecs: Registry[Codec]) -> Iterator[Encoded]:
        """The parts as they are stored."""
        for digest, plain in self.plains.items():
            yield encode_alone(plain, digest, DType.I32, codecs)

    def _run(self, start: int, stop: int) -> Iterator[Base]:
        at = 0
        for digest, plain in self.plains.items():
            low, high = max(start - at, 0), min(stop - at, len(plain))
            if low < high:
                yield Base(digest, low, high)
            at += len(plain)


def _powers(step: float, weights: Array, largest: Array) -> Array:
    """The power of two that numbers of each direction are multiples of (directions,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.floor(np.log2(step / weights))
        least = np.ceil(np.log2(largest / LARGEST_NUMBER))
    powers = np.maximum(wanted, least)
    return np.where(np.isfinite(powers), powers, 0).astype(np.int64)
