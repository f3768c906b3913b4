"""HDF5 datatypes and dataspaces, as far as tensors have them; others are said in words.

    offset  size  datatype
    0       1     class (low 4 bits), version (high 4 bits)
    1       3     bits of the class: byte order, sign, kind of string
    4       4     bytes of one element
    8       ..    properties of the class: precision and places of bits, members, base type

    offset  size  dataspace
    0       4     version, axes, flags; version 1: reserved, version 2: 0 scalar, 1 simple, 2 null
    4       4     reserved, version 1 only
    ..      8n    sizes of the axes; then their maxima, if flag 1

Specification: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (IV.A.2.b, d).
h5py's conventions: a bool is an enumeration FALSE = 0, TRUE = 1 over int8, a complex number a
compound of `r` and `i` (https://docs.h5py.org/en/stable/faq.html).
"""

from dataclasses import dataclass

from cairn.domain import DType
from cairn.formats.hdf5_addresses import Fields
from cairn.formats.limits import MAX_AXES, MAX_INT64

_FIXED, _FLOAT, _STRING, _OPAQUE, _COMPOUND, _ENUM, _VLEN = 0, 1, 3, 5, 6, 8, 9
_WORDS = {
    2: "times",
    _STRING: "strings",
    4: "bit fields",
    _OPAQUE: "opaque bytes",
    _COMPOUND: "compound values",
    7: "references",
    _ENUM: "enumerated values",
    _VLEN: "values of varying length",
    10: "arrays as elements",
    11: "complex numbers of HDF5 2.0",
}
_INTEGERS = {
    (1, False): DType.U8,
    (1, True): DType.I8,
    (2, False): DType.U16,
    (2, True): DType.I16,
    (4, False): DType.U32,
    (4, True): DType.I32,
    (8, False): DType.U64,
    (8, True): DType.I64,
}
# (bytes, exponent: place and bits, mantissa: bits, bias); the mantissa begins at bit 0.
_FLOATS = {
    (8, 52, 11, 52, 1023): DType.F64,
    (4, 23, 8, 23, 127): DType.F32,
    (2, 10, 5, 10, 15): DType.F16,
    (2, 7, 8, 7, 127): DType.BF16,
    (1, 2, 5, 2, 15): DType.F8_E5M2,
    (1, 3, 4, 3, 7): DType.F8_E4M3,
}
_COMPLEX = {DType.F32: DType.C64, DType.F64: DType.C128}
_MAX_NESTING = 8
_MAX_MEMBERS = 1024
_SCALAR, _NULL = 0, 2


@dataclass(frozen=True, slots=True)
class ElementType:
    """What one element is: a dtype, or `words` where no tensor has such elements.

    `string`: "fixed", "varying" or empty.
    """

    size_bytes: int
    dtype: DType | None
    words: str = ""
    big_endian: bool = False
    string: str = ""
    opaque: bool = False


def parse_datatype(fields: Fields, depth: int = 0) -> ElementType:
    """The type a datatype message describes.

    Raises:
        MalformedError: its parts make no sense.
    """
    head = fields.number(1)
    kind, version = head & 15, head >> 4
    bits = fields.number(3)
    size = fields.number(4)
    if depth > _MAX_NESTING:
        raise fields.refusal(f"datatypes nested deeper than {_MAX_NESTING}")
    match kind:
        case 0:
            return _fixed(fields, size, bits)
        case 1:
            return _float(fields, size, bits)
        case 3:
            return ElementType(size, None, _WORDS[kind], string="fixed")
        case 5:
            return ElementType(size, None, _WORDS[kind], opaque=True)
        case 6:
            return _compound(fields, size, bits, version, depth)
        case 8:
            return _enumeration(fields, size, bits, version, depth)
        case 9:
            is_text = bits & 15 == 1
            return ElementType(
                size,
                None,
                "strings" if is_text else _WORDS[kind],
                string="varying" if is_text else "",
            )
    return ElementType(size, None, _WORDS.get(kind, f"elements of class {kind}"))


def parse_dataspace(fields: Fields) -> tuple[int, ...] | None:
    """The shape; None where there are no elements at all, not even one.

    Raises:
        MalformedError: too many axes, or more elements than 63 bits count.
    """
    version, axes, flags = fields.number(1), fields.number(1), fields.number(1)
    if version not in (1, 2):
        raise fields.refusal(f"dataspace version {version} is not known")
    kind = fields.number(1)
    if version == 1:
        fields.take(4)
    elif kind == _NULL:
        return None
    del flags  # maximal sizes follow the sizes and do not matter here
    if axes > MAX_AXES:
        raise fields.refusal(f"{axes} axes, at most {MAX_AXES} are possible")
    shape = tuple(fields.length() for _ in range(axes))
    elements = 1
    for axis in shape:
        elements *= axis
    if elements > MAX_INT64 or max(shape, default=0) > MAX_INT64:
        raise fields.refusal(f"the shape {shape} has more elements than 63 bits count")
    return shape


def _fixed(fields: Fields, size: int, bits: int) -> ElementType:
    place, precision = fields.number(2), fields.number(2)
    dtype = _INTEGERS.get((size, bool(bits & 8)))
    if dtype is None or place or precision != 8 * size:
        return ElementType(size, None, f"integers of {precision} bits in {size} bytes")
    return ElementType(size, dtype, big_endian=bool(bits & 1))


def _float(fields: Fields, size: int, bits: int) -> ElementType:
    place, precision = fields.number(2), fields.number(2)
    exponent, exponent_bits, mantissa, mantissa_bits = (fields.number(1) for _ in range(4))
    bias = fields.number(4)
    sign, normalised = bits >> 8 & 0xFF, bits >> 4 & 3
    dtype = _FLOATS.get((size, exponent, exponent_bits, mantissa_bits, bias))
    usual = not place and not mantissa and precision == 8 * size == sign + 1 and normalised == 2
    # Bit 6 beside bit 0 is the byte order of the VAX.
    if dtype is None or not usual or bits & 0x40:
        return ElementType(size, None, f"floating-point numbers of {precision} unusual bits")
    return ElementType(size, dtype, big_endian=bool(bits & 1))


def _enumeration(fields: Fields, size: int, bits: int, version: int, depth: int) -> ElementType:
    base = parse_datatype(fields, depth + 1)
    count = bits & 0xFFFF
    if count == 2 and base.size_bytes == size == 1:
        names = [fields.name(padded=version < 3) for _ in range(count)]
        if dict(zip(names, fields.take(count), strict=True)) == {"FALSE": 0, "TRUE": 1}:
            return ElementType(1, DType.BOOL)
    if base.dtype is not None and base.size_bytes == size:
        return base
    return ElementType(size, None, _WORDS[_ENUM])


def _compound(fields: Fields, size: int, bits: int, version: int, depth: int) -> ElementType:
    """A complex number where there are two floats named `r` and `i`."""
    other = ElementType(size, None, _WORDS[_COMPOUND])
    if bits & 0xFFFF != 2:
        return other
    members = []
    for _ in range(2):
        name = fields.name(padded=version < 3)
        offset = fields.number(4 if version < 3 else _width(size))
        if version == 1:
            fields.take(28)
        members.append((name, offset, parse_datatype(fields, depth + 1)))
    (first, start, real), (second, middle, imaginary) = members
    dtype = _COMPLEX.get(real.dtype) if real.dtype else None
    if dtype is None or real != imaginary or (first, second, start) != ("r", "i", 0):
        return other
    if middle != real.size_bytes or size != 2 * middle:
        return other
    return ElementType(size, dtype, big_endian=real.big_endian)


def _width(size: int) -> int:
    """Bytes that count up to `size`."""
    return max(1, (size.bit_length() + 7) // 8)
