"""Tensors with more or less rows than those they were trained on from, such as embeddings."""

from pathlib import Path

import numpy as np
import pytest

from cairn.store import BlobStore, LikelyBase, open_local_store
from cairn.store.base_tensor import fitted
from cairn.store.bases import Base
from tests.store.making import layout_of
from tests.store.test_derived import halves, keep, read, trained
from tests.store.test_pieces import file_of, matrix

OLD = matrix(1, 1_000)


def tuned(values: np.ndarray) -> np.ndarray:
    return trained(values.ravel(), 3).reshape(values.shape)


def with_rows(values: np.ndarray, rows: int) -> np.ndarray:
    """So many rows, the further ones new."""
    more = matrix(8, max(0, rows - len(values)), values.shape[1])
    return np.concatenate([values[:rows], more])


def taken_after(store: BlobStore, before: np.ndarray, file: bytes, *, hinted: bool) -> float:
    """The share of its bytes that a file takes when a tensor is stored already."""
    base = file_of(before)
    likely = LikelyBase(keep(store, base), layout_of(base))
    taken = store.stats().stored_bytes
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file), likely=[likely] if hinted else [])
    assert read(store, digest) == file
    assert store.verify().bad == ()
    return (store.stats().stored_bytes - taken) / len(file)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("rows", [1_010, 1_500])
def test_one_that_grew_takes_its_difference_and_the_new_rows(
    store: BlobStore, rows: int, hinted: bool
) -> None:
    share = taken_after(store, OLD, file_of(with_rows(tuned(OLD), rows)), hinted=hinted)
    assert share < 0.62 + 0.3 * (rows - 1_000) / rows


def test_one_that_lost_rows_takes_its_difference_if_its_base_is_named(store: BlobStore) -> None:
    assert taken_after(store, OLD, file_of(tuned(OLD)[:900]), hinted=True) < 0.62


def test_one_that_grew_and_was_cast_is_found(store: BlobStore) -> None:
    grown = with_rows(OLD, 1_010)
    half = np.frombuffer(halves(grown.ravel()), "<u2").reshape(grown.shape)
    assert taken_after(store, OLD, file_of(half), hinted=False) < 0.2


def test_one_of_several_parts_is_found_in_each(store: BlobStore) -> None:
    old = matrix(2, 1_100, 2_048)
    assert taken_after(store, old, file_of(with_rows(tuned(old), 1_120)), hinted=False) < 0.65


def test_more_rows_of_something_else_are_kept_alone(store: BlobStore) -> None:
    assert taken_after(store, OLD, file_of(matrix(9, 1_010)), hinted=True) > 0.8


@pytest.mark.parametrize(
    ("size", "lengths"), [(0, []), (3, [3]), (15, [10, 5]), (28, [10, 5, 10, 3])]
)
def test_runs_are_cut_short_or_begun_anew(size: int, lengths: list[int]) -> None:
    runs = [Base(b"a" * 32, 0, 10), Base(b"b" * 32, 7, 12), Base(b"c" * 32, 1, 1)]
    made = list(fitted(runs, size))
    assert [run.size_bytes for run in made] == lengths
    assert all((run.digest, run.start) in {(r.digest, r.start) for r in runs} for run in made)
    assert list(fitted([], size)) == []
