"""Views of a storage as torch takes them: offset, sizes and strides, checked against its bytes."""

from dataclasses import dataclass

from cairn.domain import DType, Span
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_INT64


@dataclass(frozen=True, slots=True)
class View:
    """Elements of a storage: `strides` is None when they are contiguous in row-major order.

    `encoding` is what has to be undone before, as in `Piece`; then there are no strides.
    """

    dtype: DType
    shape: tuple[int, ...]
    span: Span
    strides: tuple[int, ...] | None
    encoding: tuple[str, ...] = ()
    big_endian: bool = False


def take_view(
    dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, storage: Span
) -> View:
    """The view of `storage` that begins `offset` elements in; all numbers are from 0 to 2**63-1.

    Raises:
        MalformedError: it reaches outside the storage, has more than 2**63-1 elements, or begins
            amid the bytes of a packed type.
    """
    elements = 1
    for axis in shape:
        elements *= axis
    if elements > MAX_INT64:
        raise MalformedError("a tensor of more than 2**63-1 elements")
    if not elements:
        return View(dtype, shape, Span(storage.start, storage.start), None)
    contiguous = _is_contiguous(shape, strides)
    reach = 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    bits = dtype.bits
    first, last = offset * bits, (offset + reach) * bits
    if bits < 8 and (first % 8 or not contiguous):
        raise MalformedError(f"a view into the middle of packed {dtype.label} bytes")
    start, stop = first // 8, (last + 7) // 8
    if stop > storage.size_bytes:
        raise MalformedError(
            f"a tensor reaches to byte {stop} of a storage that has {storage.size_bytes}"
        )
    place = Span(storage.start + start, storage.start + stop)
    return View(dtype, shape, place, None if contiguous else strides)


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Row-major without gaps; the stride of an axis of one element means nothing."""
    expected = 1
    for axis, stride in zip(reversed(shape), reversed(strides), strict=True):
        if axis != 1 and stride != expected:
            return False
        expected *= axis
    return True
