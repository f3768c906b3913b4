"""The values of two tensors side by side, streamed in runs of equally many elements."""

from collections.abc import Iterator
from math import prod

from cairn.domain import TensorInfo
from cairn.errors import MalformedError
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.tensor_pairs import Pair

BLOCK_BYTES = 512 << 10
"""Bytes of each side read at once: 256 KiB cost more calls, 1 MiB more of the cache."""

Run = tuple[memoryview, memoryview, int]


def paired_blocks(
    before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair, shape: tuple[int, ...]
) -> Iterator[Run]:
    """The first elements of both, as many as `shape` has: bytes of both sides, elements in them.

    Raises:
        UntrustedDataError: a side cannot be read, or ends before its shape says.
    """
    a, b = pair.before.tensor, pair.after.tensor
    sides = (
        (_Runs(before.blocks(pair.before.path, a, BLOCK_BYTES), a), a.dtype.block_elements),
        (_Runs(after.blocks(pair.after.path, b, BLOCK_BYTES), b), b.dtype.block_elements),
    )
    # Elements are counted in whole blocks of both dtypes, so that packed ones stay whole.
    together = max(a.dtype.block_elements, b.dtype.block_elements)
    left = prod(shape)
    while left > 0:
        units = min(side.available() * per for side, per in sides)
        if not units:
            raise MalformedError(f"tensor {a.name[:200]!r} ends before its shape says")
        elements = min(left, units // together * together or left)
        first, second = (side.take(-(-elements // per)) for side, per in sides)
        yield first, second, elements
        left -= elements


class _Runs:
    """A stream of blocks handed out in runs of any number of a tensor's units."""

    def __init__(self, blocks: Iterator[memoryview], tensor: TensorInfo) -> None:
        self._blocks = blocks
        self._unit_bytes = tensor.dtype.block_bytes
        self._current = memoryview(b"")

    def available(self) -> int:
        """Units that can be taken at once; none only at the end of the stream."""
        if len(self._current) == 0:
            self._current = next(self._blocks, memoryview(b""))
        return len(self._current) // self._unit_bytes

    def take(self, units: int) -> memoryview:
        """The next units."""
        size = units * self._unit_bytes
        taken, self._current = self._current[:size], self._current[size:]
        return taken
