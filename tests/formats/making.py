"""Checkpoint files for tests: real ones by torch and safetensors, hostile ones by hand."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

from cairn.domain import TensorInfo
from cairn.formats import BytesSource, read_layout

# torch writes no complex32 or uint kernels for random values: all are made from bytes.
TORCH_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "U16": torch.uint16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "I64": torch.int64,
    "U64": torch.uint64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C32": torch.complex32,
    "C64": torch.complex64,
    "C128": torch.complex128,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def tensor_of(dtype: torch.dtype, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """A tensor of any dtype with bytes that are all different enough to be told apart."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel() * dtype.itemsize
    raw = torch.randint(0, 2 if dtype is torch.bool else 256, (count,), generator=generator)
    return raw.to(torch.uint8).view(dtype).reshape(shape)


def bytes_of(tensor: torch.Tensor) -> bytes:
    """The elements in row-major order, as they would lie contiguously."""
    if tensor.numel() == 0:
        return b""
    packed = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
    return bytes(packed.reshape(-1).view(torch.uint8).tolist())


def saved(value: Any, **options: Any) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def elements_at(data: bytes, tensor: TensorInfo) -> bytes:
    """The tensor's elements in row-major order, gathered by its span and strides alone."""
    raw = data[tensor.span.start : tensor.span.stop]
    if tensor.strides is None:
        return raw
    size = tensor.dtype.bits // 8
    places = [0]
    for axis, stride in zip(tensor.shape, tensor.strides, strict=True):
        places = [place + i * stride for place in places for i in range(axis)]
    return b"".join(raw[place * size : (place + 1) * size] for place in places)


def archive(program: bytes, storages: Mapping[str, bytes] | None = None, **members: bytes) -> bytes:
    """A torch zip around any pickle; `members` are further files below the top folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as out:
        out.writestr("archive/data.pkl", program)
        for name, content in members.items():
            out.writestr(f"archive/{name}", content)
        for key, content in (storages or {}).items():
            out.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()


def layout_of(data: bytes, name: str = "sample.pt") -> Any:
    return read_layout(BytesSource(data, name))


class Persistent:
    """Stands for a storage in pickles made by `pickled`."""

    def __init__(self, key: str, count: int, kind: str = "FloatStorage") -> None:
        self.id = ("storage", Name("torch", kind), key, "cpu", count)


class Name:
    """Pickled as a reference to `module.name`, which need not exist."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Made:
    """Pickled as a call of a name."""

    def __init__(self, callee: Name, *args: Any, state: Any = None) -> None:
        self.callee, self.args, self.state = callee, args, state


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")


def rebuilt(storage: Any, offset: Any = 0, size: Any = (2,), strides: Any = (1,)) -> Made:
    """The call `torch.save` writes for a tensor."""
    return Made(REBUILD, storage, offset, size, strides, False, {})


def pickled(value: Any, protocol: int = 2) -> bytes:
    """A pickle of a value that may hold `Name`, `Made` and `Persistent`, whatever they name."""
    buffer = io.BytesIO()
    _Writer(buffer, protocol).dump(value)
    return buffer.getvalue()


class _Writer(pickle._Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.id if isinstance(obj, Persistent) else None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Name):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
            return
        if isinstance(obj, Made):
            self.save(obj.callee)
            self.save(obj.args)
            self.write(b"R")
            if obj.state is not None:
                self.save(obj.state)
                self.write(b"b")
            return
        super().save(obj, save_persistent_id)


def safetensors_bytes(header: Any, buffer: bytes = b"") -> bytes:
    """A safetensors file with any header: an object, or the raw bytes of one."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + buffer
