"""Files of ggml's block types: made from stored tensors, they are kept as that recipe alone."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from cairn.domain import Digest, DType, Layout
from cairn.formats.readers.gguf import GgufReader
from cairn.formats.sources import BytesSource
from cairn.store import BlobStore, open_local_store
from cairn.store.cutting import MAX_PART_BYTES, cut, part_bytes
from cairn.store.sketches import take_sketch
from tests.store.making import layout_of, safetensors
from tests.store.test_derived import halves, read, records, trained

LABELS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
every_type = pytest.mark.parametrize("label", LABELS)
ROWS, COLUMNS = 400, 512


def matrix(seed: int = 0, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, COLUMNS)).astype("<f4")


def float_file(*tensors: np.ndarray) -> bytes:
    return safetensors({f"layer.{n}": ("F32", t.tobytes()) for n, t in enumerate(tensors)})


def gguf_file(folder: Path, label: str, *tensors: np.ndarray) -> bytes:
    """What gguf-py writes."""
    path = folder / "model.gguf"
    writer = GGUFWriter(path, "llama")
    kind = GGMLQuantizationType[label]
    for number, values in enumerate(tensors):
        data = quantize(values, kind)
        writer.add_tensor(f"blk.{number}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def layout(file: bytes) -> Layout:
    return GgufReader().read(BytesSource(file)) if file[:4] == b"GGUF" else layout_of(file)


def keep(store: BlobStore, file: bytes) -> Digest:
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout(file))
    return digest


def kept_in(store: BlobStore, file: bytes) -> float:
    """Put and rewrite a file; the share of its bytes that the store grew by."""
    before = store.stats().stored_bytes
    keep(store, file)
    return (store.stats().stored_bytes - before) / len(file)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path / "store")


@every_type
def test_a_quantised_copy_is_kept_as_the_recipe_alone(
    store: BlobStore, tmp_path: Path, label: str
) -> None:
    values = [matrix(0), matrix(1)]
    parent = keep(store, float_file(*values))
    quantised = gguf_file(tmp_path, label, *values)
    assert kept_in(store, quantised) < 0.015  # recipe, sketches and records of a small file
    child = keep(store, quantised)
    assert read(store, child) == quantised
    for _ in range(3):
        store.collect(lambda: [child], 0)
    assert not store.has(parent)
    assert read(open_local_store(tmp_path / "store"), child) == quantised
    assert store.verify().bad == ()


@pytest.mark.parametrize("kind", ["BF16", "F16"])
def test_a_half_is_quantised_by_way_of_float32(store: BlobStore, tmp_path: Path, kind: str) -> None:
    values = matrix()
    if kind == "BF16":
        data = halves(values.ravel())
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(ROWS, COLUMNS)
    else:
        data = values.astype("<f2").tobytes()
        values = values.astype("<f2").astype("<f4")
    keep(store, safetensors({"w": (kind, data)}))
    quantised = gguf_file(tmp_path, "Q8_0", values)
    assert kept_in(store, quantised) < 0.02
    assert read(store, keep(store, quantised)) == quantised


@pytest.mark.parametrize("label", ["Q4_0", "Q8_0"])
def test_of_several_near_tensors_the_quantised_one_is_found(
    store: BlobStore, tmp_path: Path, label: str
) -> None:
    """Four bits hide what training changed: only quantising tells the steps apart."""
    steps = [matrix()]
    for seed in range(5):
        steps.append(trained(steps[-1].ravel(), seed, 1e-5).reshape(ROWS, COLUMNS))
    for step in steps:
        keep(store, float_file(step))
    for step in steps:
        assert kept_in(store, gguf_file(tmp_path, label, step)) < 0.03


def test_copies_of_one_tensor_do_not_hide_the_right_one(store: BlobStore, tmp_path: Path) -> None:
    base = matrix()
    tune = trained(base.ravel(), 1, 1e-6).reshape(ROWS, COLUMNS)
    keep(store, float_file(tune))
    for seed in range(12):  # a frozen layer of many fine-tunes
        keep(store, float_file(base, matrix(100 + seed, 40)))
    assert kept_in(store, gguf_file(tmp_path, "Q4_0", tune)) < 0.03


def test_a_part_that_was_quantised_otherwise_is_kept_as_its_difference(
    store: BlobStore, tmp_path: Path
) -> None:
    values = matrix()
    keep(store, float_file(values))
    file = bytearray(gguf_file(tmp_path, "Q4_0", values))
    for at in range(len(file) // 2, len(file), 5_000):  # as other rounding would do
        file[at] ^= 1
    other = bytes(file)
    assert kept_in(store, other) < 0.03
    assert read(store, keep(store, other)) == other


def test_a_quantised_tensor_of_many_parts_reads_anywhere(store: BlobStore, tmp_path: Path) -> None:
    values = matrix(3, rows=10_000)
    keep(store, float_file(values))
    quantised = gguf_file(tmp_path, "Q8_0", values)
    assert kept_in(store, quantised) < 0.001
    digest = keep(store, quantised)
    with store.open(digest) as reader:
        assert reader.read_at(2_200_000, 100_000) == quantised[2_200_000:2_300_000]
    assert store.verify([digest]).bad == ()
    codecs = [codec for codec, _ in records(tmp_path / "store")]
    assert codecs.count("quantise") == 3


def test_a_float_tensor_is_not_predicted_from_blocks(store: BlobStore, tmp_path: Path) -> None:
    """Blocks know too little; they must not stand in the way of the float tensor that serves."""
    base = matrix()
    keep(store, float_file(base))
    for label in ("Q8_0", "Q5_0"):
        keep(store, gguf_file(tmp_path, label, base))
    tune = float_file(trained(base.ravel(), 1))
    assert kept_in(store, tune) < 0.62


@pytest.mark.parametrize("dtype", [d for d in DType if d.is_block_quantised])
def test_parts_of_block_types_are_whole_blocks(dtype: DType) -> None:
    step = part_bytes(dtype)
    assert step % dtype.block_bytes == 0
    assert MAX_PART_BYTES // 4 < step <= MAX_PART_BYTES
    elements = step // dtype.block_bytes * dtype.block_elements
    assert elements * DType.BF16.block_bytes % MAX_PART_BYTES == 0


def test_other_types_are_cut_where_they_always_were(tmp_path: Path) -> None:
    assert {part_bytes(d) for d in DType if not d.is_block_quantised} == {MAX_PART_BYTES}
    assert part_bytes(None) == MAX_PART_BYTES
    file = gguf_file(tmp_path, "Q8_0", matrix(0, rows=10_000))
    sizes = [p.span.size_bytes for p in cut(len(file), layout(file)) if not p.glue]
    assert sizes[:-1] == [part_bytes(DType.Q8_0)] * 2


@every_type
def test_a_sketch_of_blocks_samples_what_they_stand_for(tmp_path: Path, label: str) -> None:
    values = matrix()
    floats, quantised = float_file(values), gguf_file(tmp_path, label, values)
    sketches = []
    for file in (floats, quantised):
        (storage,) = layout(file).storages
        sketches.append(take_sketch(BytesSource(file), storage.span, storage.dtype))
    one, other = sketches
    assert one.elements == other.elements == ROWS * COLUMNS
    assert np.abs(one.values - other.values).mean() < 0.1 * np.abs(one.values).mean()
