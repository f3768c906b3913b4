"""The benchmark of checkpoint families measures what it says: corpus, baselines, estimates."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from cairn.domain import DType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BASELINES = ("WholeFiles", "ZstdFiles", "XetChunks", "ZipNN", "ZipLLM", "NearestZipLLM")


@pytest.fixture(scope="module")
def families() -> Iterator[ModuleType]:
    """The benchmark as a module; it finds its siblings as it does when run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("families")


@pytest.fixture(scope="module")
def folder(families: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy corpus."""
    made = tmp_path_factory.mktemp("corpus")
    families.corpus.build(made, "tiny")
    return made


def test_the_corpus_has_files_of_every_group_and_their_parents_come_first(
    families: ModuleType, folder: Path
) -> None:
    entries = list(families.corpus.entries(folder))
    assert {entry.group for entry in entries} == set(families.GROUPS)
    names = [entry.name for entry in entries]
    for entry in entries:
        for before in {entry.base, entry.parent} - {None}:
            assert names.index(before) < names.index(entry.name)


def test_a_merged_adapter_changes_the_matrices_it_was_trained_for_and_no_others(
    folder: Path,
) -> None:
    base, merged = (load_file(folder / n) for n in ("base.safetensors", "lora8-fp32.safetensors"))
    changed = {name for name in base if not np.array_equal(base[name], merged[name])}
    assert {name.split(".")[-2] for name in changed} == {"query", "value"}
    (name,) = (name for name in changed if name.endswith("query.weight"))
    kinds = np.linalg.svd(merged[name].astype(np.float64) - base[name], compute_uv=False)
    assert kinds[7] > 100 * kinds[8]  # of rank 8, but for rounding


def test_a_cast_is_the_base_rounded_to_nearest(folder: Path) -> None:
    base = load_file(folder / "base.safetensors")
    half = load_file(folder / "base-bf16.safetensors")
    for name, values in base.items():
        wanted = values.astype(ml_dtypes.bfloat16) if values.dtype == np.float32 else values
        np.testing.assert_array_equal(half[name], wanted)


def test_a_folder_that_holds_the_corpus_is_not_built_again(
    families: ModuleType, folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert families.corpus.build(folder, "tiny") == list(families.corpus.entries(folder))
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("kind", [*BASELINES, "Cairn"])
def test_every_contender_gives_back_every_byte(
    families: ModuleType, folder: Path, tmp_path: Path, kind: str
) -> None:
    """`run` compares them; what is stored is counted file by file."""
    (outcome,) = families.run([getattr(families, kind, None) or by_name(families, kind)], folder,
                              tmp_path)  # fmt: skip
    sizes = [(folder / entry.name).stat().st_size for entry in families.corpus.entries(folder)]
    assert outcome.plain_total == sum(sizes)
    assert 0 < outcome.total < sum(sizes)


def by_name(families: ModuleType, kind: str) -> type:
    return next(found for found in families.BASELINES if found.__name__ == kind)


def test_a_contender_that_gives_other_bytes_is_found_out(
    families: ModuleType, folder: Path, tmp_path: Path
) -> None:
    class Forgetful(by_name(families, "WholeFiles")):  # type: ignore[misc]
        def restore(self, name: str) -> Iterator[bytes]:
            for block in super().restore(name):
                yield block[:-1] + bytes([block[-1] ^ 1])

    with pytest.raises(AssertionError, match=r"gives other bytes of base\.safetensors"):
        families.run([Forgetful], folder, tmp_path)


def test_chunks_are_cut_by_content(families: ModuleType, tmp_path: Path) -> None:
    kind = by_name(families, "XetChunks")
    data = np.random.default_rng(1).integers(0, 256, 4 << 20, dtype=np.uint8).tobytes()
    chunks = kind(tmp_path)
    entries = [families.Entry("plain", "base"), families.Entry("moved", "base")]
    for entry, content in zip(entries, (data, b"0123456789" + data), strict=True):
        (tmp_path / entry.name).write_bytes(content)
        chunks.add(tmp_path / entry.name, entry)
    chunks.close()
    assert 32 < len(chunks._files["plain"]) < 128
    assert len(set(chunks._files["plain"]) & set(chunks._files["moved"])) > 30


def test_noise_takes_all_its_bits_and_a_step_of_one_place_takes_one(families: ModuleType) -> None:
    limits = importlib.import_module("limits")
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 1 << 16, 1 << 18, dtype=np.uint16)
    assert limits.bits_per_element(noise, DType.BF16, None) == pytest.approx(16, abs=0.01)
    weights = rng.standard_normal(1 << 18, dtype=np.float32)
    assert limits.bits_per_element(weights, DType.F32, weights) == pytest.approx(0, abs=1e-9)
    stepped = (weights.view(np.int32) + rng.choice([-1, 1], len(weights))).astype(np.int32)
    bits = limits.bits_per_element(stepped, DType.F32, weights)
    assert bits == pytest.approx(1, abs=0.01)
    assert 24 < limits.bits_per_element(weights, DType.F32, None) < 27
