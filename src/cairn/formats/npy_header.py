"""The header of a NumPy array file: element type, order and shape.

    offset  size  meaning
    0       6     93 `NUMPY`
    6       2     version: 1.0, 2.0 or 3.0
    8       2, 4  n: length of the header, little-endian; 2 bytes in version 1, else 4
    10, 12  n     text of a Python dict: {'descr': ..., 'fortran_order': ..., 'shape': (...), }
                  padded with spaces and a newline; Latin-1, in version 3 UTF-8
    then          the elements, back to back

Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import re
from dataclasses import dataclass
from math import prod

from cairn.domain import DType
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_AXES, MAX_INT64, MAX_NPY_HEADER_BYTES
from cairn.formats.npy_records import element_of
from cairn.formats.python_literals import Literal, parse_literal

MAGIC = b"\x93NUMPY"
FIRST_BYTES = 128
"""What NumPy writes for all but very long headers, as it pads them to a multiple of 64."""

_KEYS = frozenset(("descr", "fortran_order", "shape"))
_DESCR = re.compile(r"([<>|=])([a-zA-Z])([0-9]{1,9})(\[[a-zA-Z0-9]+\])?\Z")
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_DTYPES = {
    "b1": DType.BOOL,
    **{f"u{n}": DType[f"U{8 * n}"] for n in (1, 2, 4, 8)},
    **{f"i{n}": DType[f"I{8 * n}"] for n in (1, 2, 4, 8)},
    **{f"f{n}": DType[f"F{8 * n}"] for n in (2, 4, 8)},
    **{f"c{n}": DType[f"C{8 * n}"] for n in (8, 16)},
}
_UNNAMED = {f"V{n}": DType[f"U{8 * n}"] for n in (1, 2, 4, 8)}
_TIMES = {"m8": "time spans", "M8": "dates"}
_UNREAD = {
    "O": "Python objects, which only unpickling could make",
    "U": "text",
    "S": "text",
    "V": "bytes without a type",
    "f": "long floats, which differ from machine to machine",
    "c": "long complex numbers, which differ from machine to machine",
}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What a header says. `dtype` None: elements that are not read, `remark` says why.

    `size_bytes` counts the header itself, `data_bytes` what must follow, None where that is a
    pickle because the elements have Python objects in them.
    """

    size_bytes: int
    shape: tuple[int, ...]
    dtype: DType | None
    data_bytes: int | None
    remark: str = ""
    big_endian: bool = False
    fortran_order: bool = False

    @property
    def is_by_columns(self) -> bool:
        """Whether the elements lie in another order than row by row."""
        return self.fortran_order and sum(axis > 1 for axis in self.shape) > 1


def header_bytes(start: bytes, source: str) -> int:
    """How long the header is in all, from its first bytes.

    Raises:
        MalformedError: they do not begin a NumPy file of a known version.
        LimitError: it is longer than any that NumPy reads without being asked to.
    """
    width = _LENGTH_BYTES.get((start[6], start[7])) if len(start) > 12 else None
    if not start.startswith(MAGIC) or width is None:
        raise MalformedError(
            "does not begin like a NumPy array of version 1, 2 or 3", source=source
        )
    total = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
    if total > MAX_NPY_HEADER_BYTES:
        raise LimitError(
            f"a header of {total} bytes, at most {MAX_NPY_HEADER_BYTES} are read", source=source
        )
    return total


def parse_header(raw: bytes, source: str) -> NpyHeader:
    """The header `raw`, magic included.

    Raises:
        MalformedError: it is not what NumPy writes.
        LimitError: more axes than NumPy has.
    """
    try:
        text = raw[8 + _LENGTH_BYTES[raw[6], raw[7]] :].decode(
            "utf-8" if raw[6] == 3 else "latin-1"
        )
    except UnicodeDecodeError:
        raise MalformedError("the header is not UTF-8", source=source) from None
    fields = parse_literal(text, source, what="the header")
    if not isinstance(fields, dict) or fields.keys() != _KEYS:
        raise MalformedError("the header must have descr, fortran_order and shape", source=source)
    by_columns = fields["fortran_order"]
    if not isinstance(by_columns, bool):
        raise MalformedError("fortran_order must be True or False", source=source)
    shape = _shape(fields["shape"], source)
    return _typed(len(raw), shape, fields["descr"], source, fortran_order=by_columns)


def _shape(value: Literal, source: str) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise MalformedError("the shape must be a tuple", source=source)
    if len(value) > MAX_AXES:
        raise LimitError(f"{len(value)} axes, at most {MAX_AXES} are possible", source=source)
    shape: list[int] = []
    for axis in value:
        if not isinstance(axis, int) or isinstance(axis, bool) or not 0 <= axis <= MAX_INT64:
            raise MalformedError("the shape must be integers from 0 to 2**63-1", source=source)
        shape.append(axis)
    return tuple(shape)


def _typed(
    size: int, shape: tuple[int, ...], descr: Literal, source: str, *, fortran_order: bool
) -> NpyHeader:
    if isinstance(descr, (list, tuple)):
        return _records(size, shape, descr, source)
    match = _DESCR.match(descr) if isinstance(descr, str) else None
    if isinstance(descr, str) and descr in ("|O", "O"):
        return NpyHeader(size, shape, None, None, f"{_UNREAD['O']}, are not read")
    if match is None:
        raise MalformedError(f"the element type {descr!r:.60} is not known", source=source)
    order, kind, width, _ = match.groups()
    label = kind + width
    dtype = _DTYPES.get(label) or _UNNAMED.get(label) or (DType.I64 if label in _TIMES else None)
    if dtype is None and kind not in _UNREAD:
        raise MalformedError(f"the element type {descr!r:.60} is not known", source=source)
    item_bytes = int(width) * (4 if kind == "U" else 1)
    data_bytes = _checked(prod(shape) * item_bytes, source)
    remark = ""
    if dtype is None:
        remark = f"{_UNREAD[kind]}, are not read"
    elif label in _UNNAMED:
        remark = (
            "elements of no named type are shown as bits; so ml_dtypes saves bfloat16 and float8"
        )
    elif label in _TIMES:
        remark = f"{_TIMES[label]} are shown as integers"
    return NpyHeader(
        size_bytes=size,
        shape=shape,
        dtype=dtype,
        data_bytes=data_bytes,
        remark=remark,
        big_endian=order == ">" and item_bytes > 1,
        fortran_order=fortran_order,
    )


def _records(size: int, shape: tuple[int, ...], descr: Literal, source: str) -> NpyHeader:
    element = element_of(descr, source)
    data_bytes = _checked(prod(shape) * element.size_bytes, source)
    remark = "records of several fields are not read"
    return NpyHeader(size, shape, None, None if element.has_objects else data_bytes, remark)


def _checked(data_bytes: int, source: str) -> int:
    if data_bytes > MAX_INT64:
        raise MalformedError("the size overflows 63 bits", source=source)
    return data_bytes
