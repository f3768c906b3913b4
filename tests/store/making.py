"""Makes checkpoint files, layouts and stores for the store's tests."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cairn.domain import Digest, DType, Layout, Span, Storage, TensorInfo
from cairn.store import BlobStore, open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.codecs import CODECS
from cairn.store.locks import Locks

LABELS = {dtype.label: dtype for dtype in DType}


def safetensors(tensors: dict[str, tuple[str, bytes]]) -> bytes:
    """A safetensors file; each tensor is (dtype label, bytes), kept flat."""
    return shaped_safetensors(
        {n: (label, (len(d) * 8 // LABELS[label].bits,), d) for n, (label, d) in tensors.items()}
    )


def shaped_safetensors(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file; each tensor is (dtype label, shape, bytes)."""
    header, at = {}, 0
    for name, (label, shape, data) in tensors.items():
        header[name] = {"dtype": label, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(d for *_, d in tensors.values())


def layout_of(file: bytes) -> Layout:
    """The layout of a safetensors file."""
    size = struct.unpack("<Q", file[:8])[0]
    header = json.loads(file[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = []
    for name, row in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = row["data_offsets"]
        span = Span(8 + size + start, 8 + size + stop)
        tensors.append(TensorInfo(name, LABELS[row["dtype"]], tuple(row["shape"]), span))
    storages = tuple(Storage(t.span, t.dtype) for t in tensors if t.span.size_bytes)
    return Layout("safetensors", len(file), tuple(tensors), storages)


def weights(seed: int, count: int) -> bytes:
    """`count` float32 weights as training leaves them."""
    return np.random.default_rng(seed).normal(0, 0.02, count).astype("<f4").tobytes()


def checkpoint(seeds: Sequence[int], count: int = 30_000) -> bytes:
    """A safetensors file with one float32 tensor per seed: equal seeds, equal tensors."""
    return safetensors({f"layer.{n}": ("F32", weights(s, count)) for n, s in enumerate(seeds)})


def small_pack_store(root: Path, pack_bytes: int = 200_000) -> BlobStore:
    """A store whose packs fill up quickly."""
    open_local_store(root)
    return BlobStore(LocalBackend(root), Locks(root / "locks"), CODECS, pack_bytes)


def optimized(store: BlobStore, file: bytes) -> Digest:
    """Put a safetensors file and rewrite it."""
    blob = store.put_bytes(file)
    assert store.optimize(blob.digest, layout_of(file)).rewritten
    return blob.digest
