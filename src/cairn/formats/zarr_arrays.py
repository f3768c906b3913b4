"""Zarr version 2 arrays: a folder of chunk files beside a JSON description, as tensors in pieces.

    NAME/.zarray   {"zarr_format": 2, "shape", "chunks", "dtype", "order", "compressor",
                    "fill_value", "filters", "dimension_separator"}
    NAME/1.0       the chunk at row 1, column 0 of the grid; `0` for an array without axes

Specification: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html. Chunks at the edge are
stored whole. A chunk whose compressor is not undone is listed with its name as the encoding, so
reading the values says so.
"""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from cairn.domain import DType, Piece, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.folder import Files
from cairn.formats.limits import MAX_AXES, MAX_CONFIG_BYTES, MAX_INT64, MAX_UNSTORED_BYTES
from cairn.formats.notes import Notes
from cairn.formats.strict_json import is_integer, read_json

DESCRIPTION = "/.zarray"
_DTYPES = {
    "b1": DType.BOOL,
    "u1": DType.U8,
    "i1": DType.I8,
    "u2": DType.U16,
    "i2": DType.I16,
    "u4": DType.U32,
    "i4": DType.I32,
    "u8": DType.U64,
    "i8": DType.I64,
    "f2": DType.F16,
    "f4": DType.F32,
    "f8": DType.F64,
    "c8": DType.C64,
    "c16": DType.C128,
    "bfloat16": DType.BF16,
    "float8_e4m3fn": DType.F8_E4M3,
    "float8_e5m2": DType.F8_E5M2,
}
_ZLIB = "zlib"
_MAX_DIGITS = 18


def read_array(
    folder: str, base: str, files: Files, chunks: Iterable[str], notes: Notes
) -> TensorInfo | None:
    """The array in `folder`; None, with a note, if it is of a kind that is not read.

    `base` is what the pieces' paths are relative to, `chunks` the names of the folder's files.

    Raises:
        MalformedError: the description makes no sense, or a chunk is of another size.
        LimitError: hardly any of it is stored.
    """
    path = folder + DESCRIPTION
    name = folder.removeprefix(base)
    with files[path].open() as source:
        found = read_json(source, MAX_CONFIG_BYTES, what="a .zarray", constants=True)
    if not isinstance(found, dict):
        raise MalformedError("a .zarray is no object", source=path)
    shape, step = _sizes(found.get("shape"), path), _sizes(found.get("chunks"), path)
    text = found.get("dtype")
    dtype = _DTYPES.get(text.lstrip("<>|")) if isinstance(text, str) else None
    usual = (
        found.get("zarr_format") == 2
        and found.get("order") == "C"
        and not found.get("filters")
        and found.get("fill_value") in (None, 0)
    )
    if dtype is None or not usual:
        notes.add(f"{name!r} is a Zarr array of a kind that is not read yet")
        return None
    if len(shape) != len(step) or not all(step):
        raise MalformedError(f"chunks of {step} for a shape of {shape}", source=path)
    encoding = _encoding(found.get("compressor"), name, notes)
    plain = dtype.size_bytes(prod(step))
    separator = "/" if found.get("dimension_separator") == "/" else "."
    pieces = []
    for chunk in chunks:
        place = _place(chunk, step, separator)
        file = files[f"{folder}/{chunk}"]
        if place is None or any(at >= n for at, n in zip(place, shape, strict=True)):
            continue
        if file.leads_out:
            raise MalformedError(f"chunk {chunk[:100]!r} is a link that leads out", source=path)
        if not encoding and file.size_bytes != plain:
            raise MalformedError(f"a chunk of {file.size_bytes} bytes, not {plain}", source=path)
        pieces.append(Piece(Span(0, file.size_bytes), place, step, f"{name}/{chunk}", encoding))
    stored = len(pieces) * plain
    if dtype.size_bytes(prod(shape)) - stored > MAX_UNSTORED_BYTES:
        raise LimitError(f"only {stored} bytes of {shape} are stored", source=path)
    nothing = Piece(Span(0, 0), (0,), (0,))
    big_endian = isinstance(text, str) and text.startswith(">")
    return TensorInfo(
        name, dtype, shape, Span(0, 0), pieces=tuple(pieces) or (nothing,), big_endian=big_endian
    )


def chunks_by_folder(files: Files) -> Mapping[str, list[str]]:
    """The names of chunk files below every folder that is an array, sorted."""
    found: dict[str, list[str]] = {
        path.removesuffix(DESCRIPTION): [] for path in files if path.endswith(DESCRIPTION)
    }
    for path in sorted(files):
        folder, at = path, len(path)
        for _ in range(MAX_AXES):
            at = path.rfind("/", 0, at)
            folder = path[: max(at, 0)]
            if at < 0 or folder in found:
                break
        if folder in found and not path.endswith(DESCRIPTION):
            found[folder].append(path[len(folder) + 1 :])
    return found


def _sizes(value: Any, path: str) -> tuple[int, ...]:
    is_shape = isinstance(value, list) and all(is_integer(n) and 0 <= n <= MAX_INT64 for n in value)
    if not is_shape or len(value) > MAX_AXES or prod(value) > MAX_INT64:
        raise MalformedError("a shape is not a few sizes", source=path)
    return tuple(value)


def _encoding(compressor: Any, name: str, notes: Notes) -> tuple[str, ...]:
    if compressor is None:
        return ()
    label = compressor.get("id") if isinstance(compressor, dict) else None
    if label == _ZLIB:
        return (_ZLIB,)
    notes.add(f"the values of {name!r} are compressed ({str(label)[:40]}) and are not read yet")
    return (f"zarr {str(label)[:40]}",)


def _place(chunk: str, step: tuple[int, ...], separator: str) -> tuple[int, ...] | None:
    """Where a chunk begins; None if it is not named like one."""
    numbers = chunk.split(separator)
    if not step:
        return () if numbers == ["0"] else None
    if len(numbers) != len(step) or not all(
        n.isascii() and n.isdecimal() and len(n) <= _MAX_DIGITS for n in numbers
    ):
        return None
    return tuple(int(n) * size for n, size in zip(numbers, step, strict=True))
