"""Tensors that are stored with their axes in another order elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from cairn.store import BlobStore, open_local_store
from cairn.store.arrangements import arrangements
from cairn.store.profiles import FAST
from tests.store.making import layout_of
from tests.store.test_derived import halves, keep, read, records, trained
from tests.store.test_pieces import file_of, matrix
from tests.store.test_quantised import gguf_file, layout

WEIGHT = matrix(1, 300, 400)
SMALL = 0.02  # of a file's bytes: a record, a sketch, a recipe


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def taken_after(store: BlobStore, before: np.ndarray, after: np.ndarray) -> float:
    """The share of its bytes that a tensor takes when another is stored already."""
    keep(store, file_of(before))
    taken = store.stats().stored_bytes
    file = file_of(np.ascontiguousarray(after))
    digest = keep(store, file)
    assert read(store, digest) == file
    assert store.verify().bad == ()
    return (store.stats().stored_bytes - taken) / len(file)


def tensors_in(store_root: Path) -> list[str]:
    """The codec of every record that is not a header."""
    return [codec for codec, _ in records(store_root) if codec not in ("raw", "zstd")]


def test_a_transposed_matrix_is_kept_as_the_recipe_alone(store: BlobStore) -> None:
    assert taken_after(store, WEIGHT, WEIGHT.T) < SMALL


def test_so_is_a_square_one_in_bfloat16(store: BlobStore) -> None:
    square = np.frombuffer(halves(matrix(2, 300, 300).ravel()), "<u2").reshape(300, 300)
    assert taken_after(store, square, square.T) < SMALL


def test_one_that_was_trained_on_is_kept_as_its_difference(tmp_path: Path) -> None:
    moved = trained(WEIGHT.ravel(), 1).reshape(WEIGHT.shape)
    turned = taken_after(open_local_store(tmp_path / "turned"), WEIGHT, moved.T)
    plain = taken_after(open_local_store(tmp_path / "plain"), WEIGHT, moved)
    assert turned < plain + 0.01 < 0.65


def test_tensors_of_many_parts_are_turned_part_by_part(store: BlobStore) -> None:
    large = matrix(3, 1_500, 2_048)
    assert taken_after(store, large, large.T) < 0.001
    file = file_of(np.ascontiguousarray(large.T))
    with store.open(store.put_bytes(file).digest) as reader:
        assert reader.read_at(4_190_000, 100_000) == file[4_190_000:4_290_000]


@pytest.mark.parametrize("axes", [(2, 3, 1, 0), (3, 2, 0, 1), (0, 2, 3, 1), (0, 3, 1, 2)])
def test_convolutions_are_found_in_the_orders_of_other_frameworks(
    store: BlobStore, axes: tuple[int, ...]
) -> None:
    kernel = matrix(4, 64, 96 * 5 * 5).reshape(64, 96, 5, 5)
    assert taken_after(store, kernel, kernel.transpose(axes)) < SMALL


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_stacks_are_found_in_any_order(store: BlobStore, axes: tuple[int, ...]) -> None:
    stack = matrix(5, 12, 100 * 90).reshape(12, 100, 90)
    assert taken_after(store, stack, stack.transpose(axes)) < SMALL


@pytest.mark.parametrize("back", [False, True])
def test_rows_that_a_conversion_to_gguf_interleaves_are_found(store: BlobStore, back: bool) -> None:
    """`permute` of llama.cpp's conversion, for heads of 64 rows."""
    query = matrix(6, 512, 512)
    interleaved = query.reshape(8, 2, 32, 512).swapaxes(1, 2).reshape(512, 512)
    pair = (interleaved, query) if back else (query, interleaved)
    assert taken_after(store, *pair) < SMALL


@pytest.mark.parametrize("wide_first", [True, False])
def test_a_matrix_that_was_turned_and_cast_is_found(store: BlobStore, wide_first: bool) -> None:
    half = np.frombuffer(halves(WEIGHT.ravel()), "<u2").reshape(WEIGHT.shape)
    if wide_first:
        assert taken_after(store, WEIGHT, half.T) < SMALL
    else:
        wide = (half.astype("<u4") << 16).view("<f4")
        assert taken_after(store, half, wide.T) < SMALL


@pytest.mark.parametrize("label", ["Q8_0", "Q4_0"])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_queries_of_llama_that_were_interleaved_and_quantised_are_found(
    store: BlobStore, tmp_path: Path, label: str, dtype: str
) -> None:
    """As a conversion to GGUF makes them of a stored model, one of two steps of a training."""
    steps = [matrix(6, 1_024, 512)]
    steps.append(trained(steps[0].ravel(), 1, 1e-3).reshape(1_024, 512))
    if dtype == "BF16":
        steps = [np.frombuffer(halves(s.ravel()), "<u2").reshape(s.shape) for s in steps]
    for step in steps:
        keep(store, file_of(step))
    values = (steps[0].astype("<u4") << 16).view("<f4") if dtype == "BF16" else steps[0]
    interleaved = values.reshape(8, 2, 64, 512).swapaxes(1, 2).reshape(1_024, 512)
    file = gguf_file(tmp_path, label, np.ascontiguousarray(interleaved))
    before = store.stats().stored_bytes
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout(file))
    assert read(store, digest) == file
    assert store.stats().stored_bytes - before < SMALL * len(file)


def test_a_tied_matrix_turned_in_the_same_file_is_kept_once(
    store: BlobStore, tmp_path: Path
) -> None:
    file = file_of(WEIGHT, np.ascontiguousarray(WEIGHT.T))
    digest = keep(store, file)
    assert tensors_in(tmp_path) == ["planes", "transpose"]
    assert read(store, digest) == file


def test_unrelated_matrices_are_kept_alone(store: BlobStore, tmp_path: Path) -> None:
    assert taken_after(store, WEIGHT, matrix(9, 400, 300)) > 0.8
    assert {codec for codec, _ in records(tmp_path)} == {"planes", "raw"}


def test_in_the_fast_profile_only_what_lies_in_few_parts_is_turned(
    store: BlobStore, tmp_path: Path
) -> None:
    for rows, made in ((1_000, "transpose"), (1_400, "planes")):  # 8 MB, 11 MB
        large = matrix(rows, rows, 2_048)
        keep(store, file_of(large))
        file = file_of(np.ascontiguousarray(large.T))
        digest = store.put_bytes(file).digest
        store.optimize(digest, layout_of(file), profile=FAST)
        assert read(store, digest) == file
        assert tensors_in(tmp_path)[-1] == made


@pytest.mark.parametrize("shape", [(6, 8), (6, 1, 8), (4, 5, 6), (4, 3, 2, 5), (1_024, 512)])
def test_places_of_a_base_are_found_again_in_the_result(shape: tuple[int, ...]) -> None:
    """An arrangement turns a base into a tensor of the shape; both have equal elements there."""
    tensor = np.arange(np.prod(shape))
    seen = 0
    for arrangement in arrangements(shape):
        back = np.argsort(arrangement.axes)
        turned = tuple(arrangement.lengths[axis] for axis in arrangement.axes)
        base = tensor.reshape(turned).transpose(back)
        assert base.shape == arrangement.lengths
        places = list(range(0, tensor.size, 7))
        assert np.array_equal(tensor[arrangement.places(places)], base.ravel()[places])
        seen += 1
    assert seen


@pytest.mark.parametrize("shape", [(), (7,), (1, 9, 1), (2, 3, 4, 5, 6)])
def test_shapes_without_another_order_in_use_have_none(shape: tuple[int, ...]) -> None:
    assert list(arrangements(shape)) == []
