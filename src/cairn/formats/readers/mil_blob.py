"""The weights file of Core ML programs (`weight.bin` in a `.mlpackage`): blobs without names.

    offset  size  meaning
    0       4     number of blobs
    4       4     2, the version
    8       56    zeros
    then, each at a multiple of 64:
    0       4     EF BE AD DE
    4       4     type of the elements
    8       8     n: bytes of the blob
    16      8     where the blob begins in the file: right after this record
    24      8     bits of padding in the last byte, for types narrower than a byte
    32      32    reserved
    64      n     the elements

All numbers are little-endian. Names and shapes are in the program beside it (`model.mlmodel`),
which refers to records by their offset. Specification:
https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp and
`BlobDataType.hpp` there.
"""

from collections.abc import Iterator
from struct import Struct

from cairn.domain import DType, Layout, Source, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_TENSORS
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.sources import read_exactly

_HEADER = Struct("<II56s")
_RECORD = Struct("<IIQQQ32s")
_VERSION = 2
_SENTINEL = 0xDEADBEEF
_ALIGNMENT = 64
_DTYPES = {
    1: DType.F16,
    2: DType.F32,
    3: DType.U8,
    4: DType.I8,
    5: DType.BF16,
    6: DType.I16,
    7: DType.U16,
    8: DType.I4,
    10: DType.U2,
    11: DType.U4,
    14: DType.I32,
    15: DType.U32,
    16: DType.F8_E4M3,
    17: DType.F8_E5M2,
}
_ODD_WIDTHS = {9: "1-bit", 12: "3-bit", 13: "6-bit"}


class MilBlobReader(Reader):
    """Reads `weight.bin`; a blob is listed under the offset that programs know it by."""

    @property
    def name(self) -> str:
        """`mil-blob`."""
        return "mil-blob"

    def recognises(self, head: bytes, source: Source) -> bool:
        """The version, reserved zeros, and the mark of the first record."""
        del source
        record = head[_HEADER.size : _HEADER.size + 4]
        return (
            head[4:8] == _VERSION.to_bytes(4, "little")
            and not any(head[8 : _HEADER.size])
            and record == _SENTINEL.to_bytes(4, "little")
        )

    def read(self, source: Source) -> Layout:
        """Lay the file out from its records."""
        notes = Notes()
        count = _HEADER.unpack(read_exactly(source, 0, _HEADER.size, "the header"))[0]
        if count * _RECORD.size > source.size_bytes:
            raise MalformedError(f"{count} blobs do not fit into the file", source=source.name)
        if count > MAX_TENSORS:
            raise LimitError(f"{count} blobs, at most {MAX_TENSORS} are listed", source=source.name)
        tensors = tuple(_blobs(source, count, notes))
        end = max((tensor.span.stop for tensor in tensors), default=_HEADER.size)
        if source.size_bytes not in (end, _aligned(end)):
            raise MalformedError(
                f"the blobs end at byte {end}, the file has {source.size_bytes}",
                source=source.name,
                hint="The file is truncated or carries foreign bytes",
            )
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tensors,
            storages=tuple(Storage(t.span, t.dtype) for t in tensors if t.span.size_bytes),
            notes=notes.listed(),
        )


def _blobs(source: Source, count: int, notes: Notes) -> Iterator[TensorInfo]:
    at = _HEADER.size
    for _ in range(count):
        raw = read_exactly(source, at, _RECORD.size, "a blob's record")
        sentinel, kind, size, start, padding, _ = _RECORD.unpack(raw)
        if sentinel != _SENTINEL or start != at + _RECORD.size:
            raise MalformedError("a blob's record is broken", source=source.name, offset=at)
        if start + size > source.size_bytes:
            raise MalformedError(
                f"a blob of {size} bytes reaches beyond the file", source=source.name, offset=at
            )
        dtype = _DTYPES.get(kind)
        if dtype is None:
            if kind not in _ODD_WIDTHS:
                raise MalformedError(
                    f"the blob type {kind} is not known", source=source.name, offset=at
                )
            notes.add(f"{_ODD_WIDTHS[kind]} numbers are shown as the bytes that hold them")
            dtype, padding = DType.U8, 0
        yield TensorInfo(
            name=f"blob at {at}",
            dtype=dtype,
            shape=(_elements(dtype, size, padding, source, at),),
            span=Span(start, start + size),
        )
        at = _aligned(start + size)


def _elements(dtype: DType, size: int, padding: int, source: Source, at: int) -> int:
    bits = 8 * size - padding
    if padding >= 8 or bits < 0 or bits % dtype.bits:
        raise MalformedError(
            f"a blob of {size} bytes is no whole number of {dtype.label}",
            source=source.name,
            offset=at,
        )
    return bits // dtype.bits


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
