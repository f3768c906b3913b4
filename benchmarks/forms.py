"""One model in other forms: what each takes in a store that has the model, and in one that has not.

    python benchmarks/forms.py --model model.safetensors

The forms are made of the model's float32 matrices: shards and wholes of tensor parallelism, stacks,
a flat buffer, matrices turned, cast or with rows interleaved, an average beside the weights, more
tokens. "Tuned" ones moved by normal noise of 1e-4. Every file is read back and compared. CPU counts
all threads, by plain bytes; reading is that of the form in the store that has the model.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import machine
import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save

from cairn.formats import BytesSource, read_layout
from cairn.store import BlobStore, LikelyBase, open_local_store

NOISE = 1e-4
MIN_ROWS = 64
HEAD_ROWS = 32

Matrix = npt.NDArray[np.float32]
Tensors = dict[str, Matrix]


def mapped(tensors: Tensors, change: Callable[[Matrix], npt.NDArray[np.generic]]) -> bytes:
    """A file of all tensors, each changed."""
    return save({name: np.ascontiguousarray(change(value)) for name, value in tensors.items()})


def tuned(value: Matrix) -> Matrix:
    noise = np.random.default_rng(value.size).normal(0, NOISE, value.shape)
    return (value + noise).astype(np.float32)


def grown(value: Matrix) -> Matrix:
    """Embeddings, which have the most rows here, with 64 more."""
    if len(value) < 10_000:
        return value
    more = np.random.default_rng(1).normal(0, 0.02, (64, value.shape[1]))
    return np.concatenate([value, more.astype(np.float32)])


def interleaved(value: Matrix) -> Matrix:
    """As a conversion to GGUF does with Llama's queries and keys."""
    if len(value) % HEAD_ROWS:
        return value
    halves = value.reshape(-1, 2, HEAD_ROWS // 2, value.shape[1])
    return halves.swapaxes(1, 2).reshape(value.shape)


def shards(tensors: Tensors, count: int, axis: int) -> list[bytes]:
    return [
        mapped(tensors, lambda v, n=n: np.array_split(v, count, axis)[n])  # type: ignore[misc]
        for n in range(count)
    ]


def stacked(tensors: Tensors) -> bytes:
    """All matrices of one shape in one tensor."""
    shapes = {value.shape for value in tensors.values()}
    alike = {s: [v for v in tensors.values() if v.shape == s] for s in sorted(shapes)}
    return save({str(shape): np.stack(values) for shape, values in alike.items()})


def forms(tensors: Tensors) -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    """A name, the files that are stored before, and those that are measured."""
    model = [mapped(tensors, lambda v: v)]
    yield "2 shards by rows", model, shards(tensors, 2, 0)
    yield "2 shards by columns", model, shards(tensors, 2, 1)
    yield "8 shards by columns", model, shards(tensors, 8, 1)
    yield "the whole, from 2 shards by rows", shards(tensors, 2, 0), model
    yield "the whole, from 2 shards by columns", shards(tensors, 2, 1), model
    yield "stacked by shape", model, [stacked(tensors)]
    flat = np.concatenate([value.ravel() for value in tensors.values()])
    yield "one flat buffer", model, [save({"flat": flat})]
    yield "turned", model, [mapped(tensors, lambda v: v.T)]
    yield (
        "turned and cast to bfloat16",
        model,
        [mapped(tensors, lambda v: v.T.astype(ml_dtypes.bfloat16))],
    )
    yield "rows interleaved", model, [mapped(tensors, interleaved)]
    yield "tuned", model, [mapped(tensors, tuned)]
    yield "tuned and turned", model, [mapped(tensors, lambda v: tuned(v).T)]
    yield "64 more tokens", model, [mapped(tensors, grown)]
    yield "64 more tokens, then tuned", model, [mapped(tensors, lambda v: tuned(grown(v)))]
    average = {f"average.{name}": tuned(value) for name, value in tensors.items()}
    yield "with an average beside it", model, [save({**tensors, **average})]


@dataclass(frozen=True, slots=True)
class Cost:
    """Stored bytes and CPU seconds of some files."""

    stored_bytes: int
    in_s: float
    out_s: float


def keep(store: BlobStore, files: list[bytes], before: list[bytes]) -> Cost:
    """Put and optimize, and read back."""
    taken, start = store.stats().stored_bytes, time.process_time()
    likely = [
        LikelyBase(store.put_bytes(file).digest, read_layout(BytesSource(file))) for file in before
    ]
    for file in files:
        digest = store.put_bytes(file).digest
        store.optimize(digest, read_layout(BytesSource(file)), likely=likely)
    between = time.process_time()
    for file in files:
        digest = store.put_bytes(file).digest
        assert store.read_bytes(digest, len(file)) == file
    end = time.process_time()
    return Cost(store.stats().stored_bytes - taken, between - start, end - between)


def measured(before: list[bytes], files: list[bytes]) -> tuple[Cost, Cost]:
    """In an empty store, and in one that has other files already."""
    with tempfile.TemporaryDirectory() as folder:
        alone = keep(open_local_store(Path(folder) / "alone"), files, [])
        store = open_local_store(Path(folder) / "beside")
        keep(store, before, [])
        return alone, keep(store, files, before)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a safetensors file")
    given = parser.parse_args()
    tensors = {
        name: value
        for name, value in load_file(given.model).items()
        if value.dtype == np.float32 and value.ndim == 2 and min(value.shape) >= MIN_ROWS
    }
    print(machine.describe())
    measured([], [mapped(tensors, tuned)])  # no compiler is measured
    print("\n| form | MB | alone MB | beside MB | share | in CPU s/GB | out CPU s/GB |")
    print("|---|---|---|---|---|---|---|")
    for name, before, files in forms(tensors):
        alone, beside = measured(before, files)
        gb = sum(map(len, files)) / 1e9
        print(
            f"| {name} | {gb * 1e3:.1f} | {alone.stored_bytes / 1e6:.1f} |"
            f" {beside.stored_bytes / 1e6:.2f} | {beside.stored_bytes / gb / 1e9:.4f} |"
            f" {beside.in_s / gb:.1f} | {beside.out_s / gb:.1f} |"
        )


if __name__ == "__main__":
    main()
