"""A safetensors file made of tensors that lie elsewhere: its header, and where its bytes come from.

    offset  size  meaning
    0       8     n: length of the header, unsigned little-endian
    8       n     compact JSON: `__metadata__`, then the tensors in the order of their bytes,
                  padded with spaces until 8 + n is a multiple of 8
    8 + n   rest  the tensors without gaps, types with stricter alignment first, then by name

This is byte for byte what the library writes, so it is known in full, down to the size, before
any value was read. Specification: https://github.com/huggingface/safetensors#format and `prepare`
in https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from cairn.domain import DType, Span, TensorInfo
from cairn.errors import LimitError, RequestError
from cairn.formats.folder import beside
from cairn.formats.limits import MAX_SAFETENSORS_HEADER_BYTES

LENGTH_BYTES = 8
METADATA = "__metadata__"

# Order of the library's `Dtype` enum, which it sorts by, from the last to the first.
WRITTEN_DTYPES: tuple[DType, ...] = (
    *(DType.U64, DType.I64, DType.F64, DType.C64, DType.F32, DType.U32, DType.I32),
    *(DType.BF16, DType.F16, DType.U16, DType.I16, DType.F8_E5M2FNUZ, DType.F8_E4M3FNUZ),
    *(DType.F8_E8M0, DType.F8_E4M3, DType.F8_E5M2, DType.I8, DType.U8),
    *(DType.F6_E3M2, DType.F6_E2M3, DType.F4, DType.BOOL),
)
_RANK = {dtype: rank for rank, dtype in enumerate(WRITTEN_DTYPES)}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A tensor on its way out: its new name, the file that lists it, the type it is written as."""

    name: str
    path: str
    tensor: TensorInfo
    dtype: DType


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes `start .. stop` of the new file.

    They are `span` of the file `path` as it is; where `span` is None, they are the values of
    the tensor `of`, which have to be computed.
    """

    start: int
    stop: int
    path: str
    of: Outgoing
    span: Span | None


@dataclass(frozen=True, slots=True)
class Reframing:
    """The header, the tensors in their new order, and runs without gaps that hold them."""

    header: bytes
    tensors: tuple[Outgoing, ...]
    runs: tuple[Run, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole file."""
        return self.runs[-1].stop if self.runs else len(self.header)

    @property
    def paths(self) -> frozenset[str]:
        """The files that spans lie in."""
        return frozenset(run.path for run in self.runs if run.span is not None)


def reframe(tensors: Iterable[Outgoing], metadata: Mapping[str, str]) -> Reframing:
    """The safetensors file of these tensors.

    Raises:
        RequestError: safetensors has no such type or name.
        LimitError: the header would be larger than our own reader takes.
    """
    ordered = sorted(tensors, key=_order)
    header = _header(ordered, metadata)
    return Reframing(header, tuple(ordered), tuple(_runs(ordered, len(header))))


def _order(tensor: Outgoing) -> tuple[int, bytes]:
    rank = _RANK.get(tensor.dtype)
    if rank is None:
        raise RequestError(_lacking(tensor))
    # Rust compares strings by their UTF-8 bytes.
    return rank, tensor.name.encode()


def _lacking(tensor: Outgoing) -> str:
    name = tensor.tensor.name[:200]
    where = f"tensor {name!r} of {tensor.path} has the dtype {tensor.dtype.label}"
    if tensor.dtype.is_block_quantised:
        return f"{where}, which safetensors cannot hold; --dequantise F16 writes it as numbers"
    return f"{where}, which safetensors cannot hold; --exclude {name!r} leaves it out"


def _header(ordered: list[Outgoing], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    at = 0
    for tensor in ordered:
        if tensor.name == METADATA:
            raise RequestError(f"{tensor.path}: no tensor can be called {METADATA!r}")
        stop = at + size_bytes(tensor)
        shape = list(tensor.tensor.shape)
        entries[tensor.name] = {
            "dtype": tensor.dtype.label,
            "shape": shape,
            "data_offsets": [at, stop],
        }
        at = stop
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_SAFETENSORS_HEADER_BYTES:
        raise LimitError(
            f"a safetensors header of {len(text)} bytes;"
            f" at most {MAX_SAFETENSORS_HEADER_BYTES} are read",
            hint="Write several files with --shard-size",
        )
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def size_bytes(tensor: Outgoing) -> int:
    """Bytes the tensor takes in the new file."""
    return tensor.dtype.size_bytes(tensor.tensor.elements)


def _runs(ordered: list[Outgoing], at: int) -> Iterator[Run]:
    for tensor in ordered:
        stop = at + size_bytes(tensor)
        if stop == at:
            continue
        spans = _plain_spans(tensor)
        for path, span in spans:
            yield Run(at, at + span.size_bytes, path, tensor, span)
            at += span.size_bytes
        if not spans:
            yield Run(at, stop, tensor.path, tensor, None)
        at = stop


def _plain_spans(outgoing: Outgoing) -> list[tuple[str, Span]]:
    """Where the values lie as they are written, in order; empty if they have to be computed."""
    tensor = outgoing.tensor
    swapped = tensor.big_endian and tensor.dtype.block_bytes > 1
    if outgoing.dtype is not tensor.dtype or tensor.strides is not None or swapped:
        return []
    if not tensor.pieces:
        return [(outgoing.path, tensor.span)]
    return _joined_pieces(outgoing)


def _joined_pieces(outgoing: Outgoing) -> list[tuple[str, Span]]:
    """The spans of pieces that are plain runs of the whole tensor, one after the other."""
    tensor = outgoing.tensor
    found: list[tuple[str, Span]] = []
    reached = 0
    row = prod(tensor.shape[1:])
    for piece in sorted(tensor.pieces, key=lambda piece: piece.start):
        is_flat = len(piece.start) != len(tensor.shape)
        begin = piece.start[0] if piece.start else 0
        whole_rows = piece.shape[1:] == tensor.shape[1:] and not any(piece.start[1:])
        if not is_flat and not whole_rows:
            return []
        at = begin if is_flat else begin * row
        if piece.encoding or at != reached or at % tensor.dtype.block_elements:
            return []
        reached += prod(piece.shape)
        path = beside(outgoing.path, piece.path) if piece.path else outgoing.path
        span = Span(piece.span.start + piece.skip_bytes, piece.span.stop)
        if span.size_bytes:
            found.append((path, span))
    return found if reached == tensor.elements else []
