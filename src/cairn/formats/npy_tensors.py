"""NumPy arrays as tensors: where their elements lie, plain or inside a deflated member."""

from math import prod

from cairn.domain import Piece, Span, TensorInfo
from cairn.formats.npy_header import NpyHeader
from cairn.formats.roles import role_of_flat_name


def plain_tensor(name: str, header: NpyHeader, span: Span) -> TensorInfo | None:
    """The tensor whose elements are the bytes `span`; None if they are not read."""
    if header.dtype is None:
        return None
    return TensorInfo(
        name=name,
        dtype=header.dtype,
        shape=header.shape,
        span=span,
        role=role_of_flat_name(name),
        strides=_column_strides(header.shape) if header.is_by_columns else None,
        big_endian=header.big_endian,
    )


def deflated_tensor(name: str, header: NpyHeader, span: Span) -> TensorInfo | None:
    """The tensor whose header and elements are deflated in `span`; None if they are not read."""
    if header.dtype is None:
        return None
    shape = ",".join(map(str, header.shape))
    steps = (f"columns:{header.size_bytes}:{shape}",) if header.is_by_columns else ()
    piece = Piece(
        span=span,
        start=(0,) * len(header.shape),
        shape=header.shape,
        encoding=("deflate", *steps),
        skip_bytes=header.size_bytes,
    )
    return TensorInfo(
        name=name,
        dtype=header.dtype,
        shape=header.shape,
        span=Span(0, 0),
        role=role_of_flat_name(name),
        pieces=(piece,),
        big_endian=header.big_endian,
    )


def _column_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[:axis]) for axis in range(len(shape)))
