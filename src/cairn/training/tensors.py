"""Tensors on their way into a safetensors file and back, bit for bit.

The bytes of a file are those the safetensors library writes; see `cairn.formats.reframing`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cairn.domain import DType, Span, TensorInfo
from cairn.errors import MalformedError, RequestError
from cairn.formats import FileSource, read_layout
from cairn.formats.reframing import Outgoing, reframe
from cairn.training.ranks.sharding import is_sharded

_DTYPES: dict[torch.dtype, DType] = {
    torch.bool: DType.BOOL,
    torch.uint8: DType.U8,
    torch.int8: DType.I8,
    torch.float8_e5m2: DType.F8_E5M2,
    torch.float8_e4m3fn: DType.F8_E4M3,
    torch.float8_e5m2fnuz: DType.F8_E5M2FNUZ,
    torch.float8_e4m3fnuz: DType.F8_E4M3FNUZ,
    torch.int16: DType.I16,
    torch.uint16: DType.U16,
    torch.float16: DType.F16,
    torch.bfloat16: DType.BF16,
    torch.int32: DType.I32,
    torch.uint32: DType.U32,
    torch.float32: DType.F32,
    torch.int64: DType.I64,
    torch.uint64: DType.U64,
    torch.float64: DType.F64,
    torch.complex64: DType.C64,
}
_TORCH = {dtype: kind for kind, dtype in _DTYPES.items()}


class TensorTable:
    """The tensors of one part by name; those that lie on the same elements have one name.

    `also` maps further names of a tensor to the one it is kept under: tied weights. Of a tensor
    that is shared out among ranks, the piece of this one is in `tensors`, and itself in `sharded`.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.sharded: dict[str, Tensor] = {}
        self.also: dict[str, str] = {}
        self._known: dict[tuple[object, ...], str] = {}

    def add(self, name: str, tensor: Tensor) -> str:
        """Take a tensor in, and say under which name it is kept.

        Raises:
            RequestError: safetensors cannot hold it.
        """
        whole, tensor = tensor, _local(tensor)
        _check(name, tensor)
        region = _region(tensor)
        known = self._known.get(region) if tensor.numel() else None
        if known is not None:
            self.also[name] = known
            return known
        while name in self.tensors or name in self.also:
            name += "~"  # {"a.b": x, "a": {"b": y}}
        self.tensors[name] = tensor.detach()
        if whole is not tensor:
            self.sharded[name] = whole
        self._known[region] = name
        return name

    def holds(self, tensor: Tensor) -> bool:
        """Whether these elements are kept here, or a copy of them."""
        local = _local(tensor)
        return _region(local) in self._known or any(
            one.shape == local.shape and one.dtype == local.dtype and torch.equal(one, local)
            for one in self.tensors.values()
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a whole tensor."""
        return tuple(self.sharded.get(name, self.tensors[name]).shape)


def _local(tensor: Any) -> Tensor:
    found: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return found


def _region(tensor: Tensor) -> tuple[object, ...]:
    place = tensor.device, tensor.data_ptr()
    return (*place, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.is_conj())


def _check(name: str, tensor: Tensor) -> None:
    kind = type(tensor)
    if kind not in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
        why = f"is a {kind.__module__}.{kind.__qualname__}"
    elif tensor.layout is not torch.strided or tensor.is_quantized:
        why = f"has the layout {tensor.layout}"
    elif tensor.is_meta:
        why = "lies on the meta device and has no values"
    elif tensor.dtype not in _DTYPES:
        why = f"has the dtype {tensor.dtype}"
    else:
        return
    raise RequestError(f"{name}: {why}, which a checkpoint cannot hold exactly")


def bytes_of(tensor: Tensor) -> memoryview:
    """All elements row by row; copied only where they do not lie so in this machine's memory."""
    flat = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if not flat.numel():
        return memoryview(b"")
    return in_bytes(flat).numpy().data


def in_bytes(flat: Tensor) -> Tensor:
    """The bytes of elements in a row; a single one may still bear the stride of a larger tensor."""
    return flat.as_strided((flat.numel(),), (1,)).view(torch.uint8)


def lying_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The same values, in memory in the order of another tensor of this shape: channels last.

    Fused optimizers go through a parameter and its states by memory alone, and a norm adds up in
    that order.
    """
    if is_sharded(other) or tensor.shape != other.shape or tensor.stride() == other.stride():
        return tensor
    return torch.empty_like(other, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def file_bytes(
    tensors: Mapping[str, Tensor], also: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """A safetensors file piece by piece: the header, then every tensor."""
    frame = reframe([_outgoing(*item) for item in tensors.items()], {"format": "pt", **also})
    yield frame.header
    for outgoing in frame.tensors:
        yield bytes_of(tensors[outgoing.name])


def _outgoing(name: str, tensor: Tensor) -> Outgoing:
    dtype = _DTYPES[tensor.dtype]
    span = Span(0, dtype.size_bytes(tensor.numel()))
    return Outgoing(name, name, TensorInfo(name, dtype, tuple(tensor.shape), span), dtype)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, which look into it: whoever keeps one takes a copy.

    Raises:
        UntrustedDataError: it is no safetensors file.
    """
    with FileSource(path, path.name) as source:
        layout = read_layout(source)
    data = mapped(path)
    return {info.name: view(data, info.span, info.dtype, info.shape) for info in layout.tensors}


def mapped(path: Path) -> Tensor:
    """The bytes of a file, which is looked into and not read."""
    size = path.stat().st_size
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)


def view(data: Tensor, span: Span, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """A tensor that lies in these bytes; a copy where they do not lie as its type wants.

    Raises:
        UntrustedDataError: torch has no such type.
    """
    kind = _TORCH.get(dtype)
    if kind is None:
        raise MalformedError(f"torch has no {dtype.label}", source="tensors")
    flat = data[span.start : span.stop]
    return (flat if span.start % kind.itemsize == 0 else flat.clone()).view(kind).reshape(shape)
