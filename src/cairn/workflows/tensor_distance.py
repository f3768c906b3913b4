"""How far the tensors of one file are from those of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.domain import TensorInfo
from cairn.formats import FileSource, read_layout
from cairn.formats.dtypes import numpy_dtype

_BLOCK_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Distance:
    """Of a file: whether its bytes are the same, and the largest difference between two tensors.

    That is the norm of the difference over the norm of the first; None where names, shapes or
    types differ, or values are no numbers.
    """

    name: str
    is_same: bool
    largest: float | None


def distance(name: str, one: Path, other: Path, listed: Mapping[str, str]) -> Distance:
    """Of a file in two folders that is not the same; `listed` are the files of the second.

    Raises:
        UntrustedDataError: a file is no safetensors file.
    """
    if name not in listed:
        return Distance(name, is_same=False, largest=None)
    with FileSource(one / name) as first, FileSource(other / name) as second:
        here = {t.name: t for t in read_layout(first).tensors}
        there = {t.name: t for t in read_layout(second).tensors}
        if here.keys() != there.keys():
            return Distance(name, is_same=False, largest=None)
        largest = 0.0
        for key, tensor in here.items():
            found = _between(tensor, there[key], first.read_at, second.read_at)
            if found is None:
                return Distance(name, is_same=False, largest=None)
            largest = max(largest, found)
    return Distance(name, is_same=False, largest=largest)


def _between(one: TensorInfo, other: TensorInfo, read_one: Any, read_other: Any) -> float | None:
    """Relative distance of two tensors, in blocks of a million elements."""
    import numpy as np

    dtype = numpy_dtype(one.dtype)
    if dtype is None or (one.dtype, one.shape) != (other.dtype, other.shape):
        return None
    block = _BLOCK_ELEMENTS * dtype.itemsize
    apart = size = 0.0
    for at in range(0, one.span.size_bytes, block):
        length = min(block, one.span.size_bytes - at)
        a = np.frombuffer(read_one(one.span.start + at, length), dtype)
        b = np.frombuffer(read_other(other.span.start + at, length), dtype)
        if a.tobytes() == b.tobytes():
            size += _square(a)
            continue
        apart += _square(a.astype(np.complex128) - b.astype(np.complex128))
        size += _square(a)
    if not np.isfinite(apart) or not np.isfinite(size):
        return 0.0 if apart == 0 else None
    return float(np.sqrt(apart / size)) if apart and size else float(apart > 0)


def _square(values: Any) -> float:
    import numpy as np

    return float(np.square(np.abs(values.astype(np.complex128))).sum())
