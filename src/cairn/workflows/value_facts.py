"""Plain facts about a model's weights by themselves: what stands out, without a base or a guess."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from cairn.domain import Octave, Role, TensorInfo, Trouble
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.workflows.health import measure_tensors, trouble_text
from cairn.workflows.readable import ReadableCheckpoint

if TYPE_CHECKING:
    from cairn.analysis.low_bits import LowBits
    from cairn.analysis.repeated_rows import RepeatedRows

FAR_OCTAVES = 8
"""Empty powers of two below values that are told to lie far from all others."""

_FAR_SHARE = 0.001
_NO_SPECTRUM = 0


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about one tensor that is so, in words; `kind` names it for programs."""

    tensor: str
    kind: str
    text: str


def value_facts(
    model: ReadableCheckpoint, progress: Callable[[int], None] | None = None
) -> list[Fact]:
    """What stands out in the weights of a model; their values are read twice.

    `progress` gets the bytes newly looked at. What cannot be read is a fact of kind `unread`.
    """
    weights = [(path, one) for path, one in model.checkpoint.tensors() if one.role is Role.WEIGHTS]
    found: list[Fact] = []
    healths = measure_tensors(model, weights, progress=progress, max_rank_side=_NO_SPECTRUM)
    for (path, tensor), health in zip(weights, healths, strict=True):
        if health.statistics is None:
            found.append(Fact(tensor.name, "unread", health.not_read))
            continue
        for trouble in health.troubles:
            text = trouble_text(trouble, health.statistics)
            found.append(Fact(tensor.name, trouble.name.lower(), text))
        far = far_values(health.statistics.octaves)
        if far:
            text = f"{far:,} values are {2**FAR_OCTAVES} times larger than all others, or more"
            found.append(Fact(tensor.name, "far_values", text))
        if Trouble.CONSTANT in health.troubles or Trouble.ALL_ZERO in health.troubles:
            continue  # bits and rows say it again
        try:
            found.extend(_of_bytes(model, path, tensor, progress))
        except (UntrustedDataError, IntegrityError, BlobNotFoundError) as error:
            found.append(Fact(tensor.name, "unread", str(error)))
    return found


def bytes_to_look_at(model: ReadableCheckpoint) -> int:
    """Bytes that `value_facts` goes through."""
    weights = [one for _, one in model.checkpoint.tensors() if one.role is Role.WEIGHTS]
    return 2 * sum(one.size_bytes for one in weights)


def far_values(octaves: Sequence[Octave]) -> int:
    """How many values lie above a gap of `FAR_OCTAVES`, if they are few; 0 where there is none."""
    held = sorted((o for o in octaves if o.negative + o.positive), key=lambda o: -o.exponent)
    total = sum(o.negative + o.positive for o in held)
    above = 0
    for upper, lower in pairwise(held):
        above += upper.negative + upper.positive
        if above > _FAR_SHARE * total:
            return 0
        if upper.exponent - lower.exponent > FAR_OCTAVES:
            return above
    return 0


def _of_bytes(
    model: ReadableCheckpoint,
    path: str,
    tensor: TensorInfo,
    progress: Callable[[int], None] | None,
) -> Iterator[Fact]:
    """What the bits of the values say, and rows that are alike."""
    from cairn.analysis.low_bits import MANTISSA_BITS, LowBitCounts

    bits = LowBitCounts(tensor.dtype) if tensor.dtype in MANTISSA_BITS else None
    rows = _rows(tensor)
    for block in model.blocks(path, tensor):
        if bits is not None:
            bits.add(block)
        if rows is not None:
            rows.add(block)
        if progress is not None:
            progress(block.nbytes)
    if rows is not None and rows.repeated:
        text = f"{rows.repeated:,} of {tensor.shape[0]:,} rows equal an earlier one"
        yield Fact(tensor.name, "repeated_rows", text)
    if bits is not None:
        yield from _of_low_bits(tensor, bits.result())


def _of_low_bits(tensor: TensorInfo, found: "LowBits") -> Iterator[Fact]:
    from cairn.analysis.low_bits import WINDOW, Window

    windows = ", ".join(
        f"{found.windows[kind]:,} {kind.value}" for kind in Window if kind in found.windows
    )
    if found.is_patterned:
        text = f"the lowest bits are no chance (runs of {WINDOW:,} values: {windows})"
        yield Fact(tensor.name, "patterned_bits", text)
    elif found.is_mixed:
        text = f"the lowest bits are of several kinds (runs of {WINDOW:,} values: {windows})"
        yield Fact(tensor.name, "mixed_bits", text)


def _rows(tensor: TensorInfo) -> "RepeatedRows | None":
    from cairn.analysis.repeated_rows import MAX_ROWS, MIN_ROW_BYTES, RepeatedRows

    if len(tensor.shape) < 2 or tensor.dtype.block_elements > 1 or tensor.shape[0] > MAX_ROWS:
        return None
    row_bytes = prod(tensor.shape[1:]) * tensor.dtype.block_bytes
    return RepeatedRows(row_bytes) if row_bytes >= MIN_ROW_BYTES else None
