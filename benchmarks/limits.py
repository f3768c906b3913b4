"""How few bits a class of data could take: order-0 conditional entropies of its tensors.

A tensor alone: the entropies of its exponents and of each byte of sign and mantissa. Beside the
tensor of the same name in its parent: the entropy of the ordered difference given the parent's
exponent, where a difference is its sign, its length in bits and the two bits after the first;
lower bits count as they are. A tensor that equals one seen before takes none, nor does one whose
parent has it in another type: casting or quantising makes it.
Estimates, not bounds: a model that knows more (a low rank, a step of Adam) can do better.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import baselines
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from corpus import Entry

from cairn.domain import DType

SAMPLE = 1 << 20  # elements from the middle of a tensor
_UINTS: dict[int, Any] = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_MANTISSA = {DType.F16: 10, DType.BF16: 7, DType.F32: 23, DType.F64: 52}


@dataclass(slots=True)
class Estimate:
    """Elements and bits of a group."""

    elements: int = 0
    bits: float = 0.0


class Limits:
    """The estimates of a corpus, group by group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[bytes] = set()
        self.groups: dict[str, Estimate] = {}

    def add(self, entry: Entry) -> None:
        """Count a file; its parent was counted before."""
        path = self._folder / entry.name
        data = np.memmap(path, np.uint8, "r")
        parents = self._tensors(entry.parent) if entry.parent else {}
        group = self.groups.setdefault(entry.group, Estimate())
        for run in baselines.runs(path):
            if run.name is None or run.dtype is None:
                continue
            elements = (run.stop - run.start) * run.dtype.block_elements // run.dtype.block_bytes
            group.elements += elements
            plain = data[run.start : run.stop]
            digest = blake3(plain).digest()
            dtype, parent = parents.get(run.name, (run.dtype, None))
            if digest not in self._seen and dtype is run.dtype:
                group.bits += elements * bits_per_element(plain, run.dtype, parent)
            self._seen.add(digest)

    def _tensors(self, name: str) -> dict[str, tuple[DType | None, Any]]:
        path = self._folder / name
        data = np.memmap(path, np.uint8, "r")
        return {
            run.name: (run.dtype, data[run.start : run.stop])
            for run in baselines.runs(path)
            if run.name is not None
        }


def bits_per_element(plain: Any, dtype: DType, parent: Any | None) -> float:
    """What an element of this tensor takes, alone or beside its parent."""
    if dtype not in _MANTISSA:
        return 8 * dtype.block_bytes / dtype.block_elements
    values = _middle(plain, dtype)
    best = alone(values, dtype)
    if parent is not None and len(parent) == len(plain):
        best = min(best, beside(values, _middle(parent, dtype), dtype))
    return best


def _middle(plain: Any, dtype: DType) -> npt.NDArray[np.unsignedinteger]:
    values = np.frombuffer(plain, _UINTS[dtype.block_bytes])
    start = max(0, len(values) - SAMPLE) // 2
    return values[start : start + SAMPLE]


def alone(values: Any, dtype: DType) -> float:
    """Entropies of the exponent and of each byte of sign and mantissa."""
    mantissa, bits = _MANTISSA[dtype], 8 * values.dtype.itemsize
    rest = ((values & values.dtype.type((1 << mantissa) - 1)) << 1) | (values >> (bits - 1))
    total = entropy(((values << 1) >> (mantissa + 1)).astype(np.int64))
    for low in range(0, mantissa + 1, 8):
        total += entropy(((rest >> low) & 255).astype(np.int64))
    return total


def beside(values: Any, parent: Any, dtype: DType) -> float:
    """Entropy of the ordered difference given the parent's exponent."""
    exponents = ((parent << 1) >> (_MANTISSA[dtype] + 1)).astype(np.int64)
    difference = _ordered(values) - _ordered(parent)
    difference = np.where(_ordered(parent) < 0, -difference, difference)
    size = np.abs(difference)
    length = np.frexp(size.astype(np.float64))[1].astype(np.int64)  # bits of the number
    below = np.maximum(length - 3, 0)
    symbol = length * 8 + ((size >> below) & 3) * 2 + (difference < 0)
    context, codes = exponents * 1024, exponents * 1024 + symbol
    return entropy(codes) - entropy(context) + float(below.mean())


def _ordered(values: Any) -> npt.NDArray[np.int64]:
    """Floats' bits as numbers that order as the floats do."""
    sign_bit = 8 * values.dtype.itemsize - 1
    size = (values & values.dtype.type((1 << sign_bit) - 1)).astype(np.int64)
    return np.where(values >> sign_bit, -size, size)


def entropy(symbols: npt.NDArray[np.int64]) -> float:
    """Bits per symbol, order 0."""
    counts = np.unique(symbols, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
