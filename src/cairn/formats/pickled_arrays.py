"""NumPy arrays inside a pickle: what they are, and where their elements lie in the file.

    numpy._core.multiarray._reconstruct(class, (0,), b"b")     + state
        (version, shape, dtype, is_fortran, elements)
    numpy._core.numeric._frombuffer(elements, dtype, shape, order)          protocol 5
    numpy.dtype(code, align, copy)                             + state (3, byte order, ...)

The elements are a bytes object, or `_codecs.encode(text, "latin1")` where Python 3 wrote
protocol 2 or below. Arrays of objects hold a list and are no numbers. Sources:
`numpy/_core/src/multiarray/methods.c` (`array_reduce`, `array_setstate`), `descriptor.c` and
`numpy/_core/numeric.py` of NumPy 2.4.
"""

from dataclasses import dataclass
from math import prod

from cairn.domain import DType, Scalar, Span, Storage
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_AXES, MAX_INT64
from cairn.formats.pickle_program import Call, Global, Payload, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.strided_views import View
from cairn.formats.torch_types import TORCH_DTYPES

INLINE_BYTES = 16
"""Bytes objects up to this stay values, for NumPy's scalars; longer ones are found by place."""

_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
_DTYPES: dict[str, DType] = {
    "b1": DType.BOOL,
    "i1": DType.I8,
    "i2": DType.I16,
    "i4": DType.I32,
    "i8": DType.I64,
    "u1": DType.U8,
    "u2": DType.U16,
    "u4": DType.U32,
    "u8": DType.U64,
    "f2": DType.F16,
    "f4": DType.F32,
    "f8": DType.F64,
    "c8": DType.C64,
    "c16": DType.C128,
}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What one rebuild call yields: views by suffix of the tensor's name, and remarks.

    A plain tensor is one view with the suffix `""`.
    """

    views: tuple[tuple[str, View], ...]
    facts: tuple[tuple[str, Scalar], ...] = ()
    note: str = ""


class PickledArrays:
    """The arrays of one pickle, which begins at byte `start` of its file."""

    def __init__(self, source: str, start: int = 0) -> None:
        self._source = source
        self._start = start
        self._used: dict[int, Storage] = {}

    def used(self) -> list[Storage]:
        """Where the elements of the arrays that were asked for lie."""
        return list(self._used.values())

    def rebuilt(self, call: Call) -> Rebuilt | None:
        """The array a call gives, or None if it gives none or one of objects.

        Raises:
            MalformedError: its elements are not as many as its shape says.
        """
        parts = _parts(call)
        if parts is None:
            return None
        shape, kind, in_columns, data = parts
        dtype, big_endian = kind
        elements = prod(shape)
        place = self._place(call, data)
        if not elements:
            return Rebuilt((("", View(dtype, shape, Span(self._start, self._start), None)),))
        if place is None:
            return None
        size = dtype.size_bytes(elements)
        is_text = isinstance(data, Call)
        # A text of nothing but ASCII is its own bytes; each other byte takes two.
        if place.size_bytes != size and not (is_text and size < place.size_bytes <= 2 * size):
            raise MalformedError(
                f"an array of {size} bytes lies in {place.size_bytes}",
                source=self._source,
                offset=call.offset,
            )
        encoding: tuple[str, ...] = ()
        strides = _column_strides(shape) if in_columns and len(shape) > 1 else None
        if place.size_bytes != size:
            columns = f"columns:0:{','.join(str(n) for n in shape)}"
            encoding = ("latin1",) if strides is None else ("latin1", columns)
            strides = None
        self._used.setdefault(place.start, Storage(place, DType.U8 if encoding else dtype))
        return Rebuilt((("", View(dtype, shape, place, strides, encoding, big_endian)),))

    def _place(self, array: Call, data: Value) -> Span | None:
        """Where elements lie; None where they are anything but bytes, or not to be found."""
        match data:
            case bytes() if array.literal_at is not None:
                start = self._start + array.literal_at
                return Span(start, start + len(data))
            case Payload(start=start, stop=stop, kind="bytes"):
                return Span(self._start + start, self._start + stop)
            case Call(args=(str(text), "latin1"), literal_at=int(at)):
                size = len(text.encode("utf-8", "surrogatepass"))
                return Span(self._start + at, self._start + at + size)
            case Call(args=(Payload(start=start, stop=stop, kind="str"), "latin1")):
                is_text = call_target(data) == "_codecs.encode"
                return Span(self._start + start, self._start + stop) if is_text else None
        return None


_Parts = tuple[tuple[int, ...], tuple[DType, bool], bool, Value]


def _parts(call: Call) -> _Parts | None:
    """Shape, element type, whether the first axis is the fastest, and the elements."""
    target = call_target(call)
    match call:
        case Call(states=[(_, shape, dtype, bool(in_columns), data)]) if target in _RECONSTRUCT:
            pass
        case Call(args=(data, dtype, shape, "C" | "F" as order, *_)) if target in _FROM_BUFFER:
            in_columns = order == "F"
        case _:
            return None
    kind = _element_type(dtype)
    if kind is None or not isinstance(shape, tuple) or len(shape) > MAX_AXES:
        return None
    sizes = tuple(n for n in shape if type(n) is int and 0 <= n <= MAX_INT64)
    if len(sizes) != len(shape) or prod(sizes) > MAX_INT64:
        return None
    return sizes, kind, in_columns, data


def _element_type(value: Value) -> tuple[DType, bool] | None:
    """The type and whether it is big-endian; None for objects, texts, records and dates."""
    if not isinstance(value, Call) or call_target(value) != "numpy.dtype":
        return None
    match value.args:
        case (str(code), *_):
            dtype = _DTYPES.get(code)
        case (Global(module="ml_dtypes", name=name), *_):
            dtype = TORCH_DTYPES.get(name)
        case _:
            return None
    order = "<"
    for state in value.states or ():
        match state:
            case (_, str(said), *_):
                order = said
    return None if dtype is None else (dtype, order == ">")


def _column_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for axis in shape:
        strides.append(step)
        step *= axis
    return tuple(strides)
