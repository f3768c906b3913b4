"""Where a file is cut into parts, so that equal tensors give equal parts whatever the file.

Each storage is cut from its own start; what lies between (headers, JSON, zip framing)
and storages too small for a part of their own are glue.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from cairn.domain import DType, Layout, Span

# A range read decodes whole parts, a stream holds a few: 4 MiB decode in 2-4 ms.
# A multiple of the size of every plain element, so that no part splits one.
MAX_PART_BYTES = 4 << 20

# Elements of ggml's blocks are counted out to parts by this: as float32 they fill two parts, as
# bfloat16 one, so that no part they were quantised from is decoded for two of them.
BLOCK_RUN_ELEMENTS = 2 << 20

# A part costs 36 bytes in a recipe, 12 as a segment, 96 as a record and 64 in an index:
# 5 % of this. Biases and norms below it travel together as glue.
MIN_PART_BYTES = 4 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of at most `MAX_PART_BYTES` of a file: part of one storage, or glue.

    `storage` is the whole storage; None for glue and for files without a layout. `columns` are
    the elements of its rows if it is one matrix, else 0; `shape` is that of the tensor it is, empty
    if it is none or several.
    """

    span: Span
    dtype: DType | None
    glue: bool = False
    storage: Span | None = None
    columns: int = 0
    shape: tuple[int, ...] = ()


def cut(size_bytes: int, layout: Layout | None) -> Iterator[Piece]:
    """The pieces of a file in order, without gaps; by fixed steps if there is no layout."""
    if layout is None:
        yield from _steps(Span(0, size_bytes), None, glue=False)
        return
    done = 0
    shapes = _shapes(layout)
    for storage in layout.storages:
        if storage.span.size_bytes < MIN_PART_BYTES:
            continue
        yield from _steps(Span(done, storage.span.start), None, glue=True)
        shape = shapes.get(storage.span, ())
        columns = _columns(shape)
        for piece in _steps(storage.span, storage.dtype, glue=False):
            yield replace(piece, storage=storage.span, columns=columns, shape=shape)
        done = storage.span.stop
    yield from _steps(Span(done, size_bytes), None, glue=True)


def _steps(span: Span, dtype: DType | None, *, glue: bool) -> Iterator[Piece]:
    step = part_bytes(dtype)
    for start in range(span.start, span.stop, step):
        yield Piece(Span(start, min(start + step, span.stop)), dtype, glue)


def part_bytes(dtype: DType | None) -> int:
    """Bytes of every part of a storage but the last: whole blocks of ggml's types."""
    if dtype is None or not dtype.is_block_quantised:
        return MAX_PART_BYTES
    run = BLOCK_RUN_ELEMENTS // dtype.block_elements * dtype.block_bytes
    return MAX_PART_BYTES // run * run


def _shapes(layout: Layout) -> dict[Span, tuple[int, ...]]:
    """The shape of each storage that is one tensor of several axes."""
    return {
        tensor.span: tensor.shape
        for tensor in layout.tensors
        if len(tensor.shape) > 1 and tensor.elements and not tensor.strides and not tensor.pieces
    }


def _columns(shape: tuple[int, ...]) -> int:
    """The length of a row; 0 without a shape.

    Axes are joined so that rows and columns are few together: those of the inputs of a
    convolution with its window, experts with their outputs.
    """
    widths = [prod(shape[axis:]) for axis in range(1, len(shape))]
    return min(widths, key=lambda n: n + prod(shape) // n, default=0)
