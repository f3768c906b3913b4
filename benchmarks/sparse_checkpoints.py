"""Checkpoints of any size that take almost no disk: real headers, and holes for the tensors.

Each maker writes a file (or folder) of `size` bytes of fp32 zeros over `TENSORS` tensors with the
format's own writer where that can be made to leave holes.
"""

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import torch

TENSORS = 400  # as many as a 7B model has
NAMES = [f"model.layers.{i // 4}.self_attn.{'qkvo'[i % 4]}_proj.weight" for i in range(TENSORS)]


class SparseFile(io.RawIOBase):
    """A file in which runs of zeros become holes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")
        if len(view) > 4096 and not np.frombuffer(view, np.uint8).any():
            self._file.seek(len(view), 1)
        else:
            self._file.write(view)
        return len(view)

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        if not self._file.closed:
            self._file.truncate(max(self._file.tell(), self._file.seek(0, 2)))
            self._file.close()
        super().close()


def _axis(size: int) -> int:
    return int((size / TENSORS / 4) ** 0.5)


def _state(size: int) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(_axis(size), _axis(size)) for name in NAMES}


def safetensors(folder: Path, size: int) -> Path:
    path, each = folder / "model.safetensors", 4 * _axis(size) ** 2
    header = {
        name: {
            "dtype": "F32",
            "shape": [_axis(size)] * 2,
            "data_offsets": [i * each, (i + 1) * each],
        }
        for i, name in enumerate(NAMES)
    }
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(raw)) + raw)
        out.truncate(8 + len(raw) + each * TENSORS)
    return path


def torch_zip(folder: Path, size: int) -> Path:
    torch.serialization.set_crc32_options(False)
    with SparseFile(folder / "model.pt") as out:
        torch.save(_state(size), out)
    return folder / "model.pt"


def torch_legacy(folder: Path, size: int) -> Path:
    with SparseFile(folder / "legacy.pt") as out:
        torch.save(_state(size), out, _use_new_zipfile_serialization=False)
    return folder / "legacy.pt"


def npz(folder: Path, size: int) -> Path:
    zeros = np.zeros((_axis(size), _axis(size)), np.float32)
    with SparseFile(folder / "model.npz") as out, zipfile.ZipFile(out, "w") as archive:
        for name in NAMES:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, zeros)
    return folder / "model.npz"


def hdf5(folder: Path, size: int) -> Path:
    kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    kept.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    kept.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    path = folder / "model.weights.h5"
    with h5py.File(path, "w") as out:
        for name in NAMES:
            group = out.create_group(name.replace(".", "/"))
            space = h5py.h5s.create_simple((_axis(size), _axis(size)))
            h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, kept)
    return path


def onnx_external(folder: Path, size: int) -> Path:
    tensors, each = [], 4 * _axis(size) ** 2
    for i, name in enumerate(NAMES):
        tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT)
        tensor.dims.extend([_axis(size)] * 2)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "model.data"), ("offset", i * each), ("length", each)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    graph = onnx.helper.make_graph([], "big", [], [], initializer=tensors)
    (folder / "model.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with (folder / "model.data").open("wb") as out:
        out.truncate(each * TENSORS)
    return folder / "model.onnx"


def gguf(folder: Path, size: int) -> Path:
    """Version 3, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    each = 4 * _axis(size) ** 2
    each += -each % 32
    head = b"GGUF" + struct.pack("<IQQ", 3, TENSORS, 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for i, name in enumerate(NAMES):
        head += text(name) + struct.pack("<I2Q", 2, _axis(size), _axis(size))
        head += struct.pack("<IQ", 0, i * each)
    head += bytes(-len(head) % 32)
    with (folder / "model.gguf").open("wb") as out:
        out.write(head)
        out.truncate(len(head) + each * TENSORS)
    return folder / "model.gguf"


MAKERS: dict[str, Callable[[Path, int], Path]] = {
    "safetensors": safetensors,
    "torch zip": torch_zip,
    "torch legacy": torch_legacy,
    "GGUF": gguf,
    "ONNX, external data": onnx_external,
    "npz": npz,
    "HDF5": hdf5,
}

warnings.filterwarnings("ignore", message=".*crc32.*")
