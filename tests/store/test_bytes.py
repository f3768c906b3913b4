"""Tensors of one byte an element are found as others are: by value, in pieces, turned."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cairn.store import BlobStore, open_local_store
from tests.store.making import shaped_safetensors
from tests.store.test_derived import keep, read, records

SHAPE = (400, 512)
TYPES = {
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "I8": np.int8,
    "U8": np.uint8,
}
every_type = pytest.mark.parametrize("label", TYPES)


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, SHAPE)


def codes(label: str, of: np.ndarray) -> np.ndarray:
    """Values around 0 as this type has them, unsigned ones around 128."""
    if label in ("I8", "U8"):
        return np.rint(of * 30 + 128 * (label == "U8")).clip(*_range(label)).astype(TYPES[label])
    return of.astype(TYPES[label])


def _range(label: str) -> tuple[int, int]:
    return (0, 255) if label == "U8" else (-128, 127)


def file_of(label: str, *tensors: np.ndarray) -> bytes:
    return shaped_safetensors(
        {
            f"w{n}": (label, t.shape, np.ascontiguousarray(t).tobytes())
            for n, t in enumerate(tensors)
        }
    )


def taken_after(store: BlobStore, before: bytes, after: bytes) -> float:
    """The share of its bytes that a file takes when another is stored already."""
    keep(store, before)
    taken = store.stats().stored_bytes
    digest = keep(store, after)
    assert read(store, digest) == after
    assert store.verify().bad == ()
    return (store.stats().stored_bytes - taken) / len(after)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


@every_type
def test_a_fine_tune_is_kept_as_its_difference(store: BlobStore, label: str) -> None:
    tuned = values(1) + np.random.default_rng(2).normal(0, 2e-3, SHAPE)
    before, after = (file_of(label, codes(label, v)) for v in (values(1), tuned))
    assert taken_after(store, before, after) < 0.35


@every_type
def test_unrelated_tensors_are_kept_alone(store: BlobStore, tmp_path: Path, label: str) -> None:
    before, after = (file_of(label, codes(label, values(seed))) for seed in (1, 2))
    assert taken_after(store, before, after) > 0.6
    assert {depth for _, depth in records(tmp_path)} == {0}


def test_codes_that_are_spread_evenly_are_not_near_to_others(
    store: BlobStore, tmp_path: Path
) -> None:
    one, other = (np.random.default_rng(n).integers(0, 256, SHAPE, np.uint8) for n in (1, 2))
    assert taken_after(store, file_of("U8", one), file_of("U8", other)) > 0.9
    assert store.stats().by_codec.keys() == {"raw"}


@every_type
def test_shards_and_turned_ones_take_almost_nothing(store: BlobStore, label: str) -> None:
    whole = codes(label, values(1))
    left, right = np.split(whole, 2, 1)
    assert taken_after(store, file_of(label, whole), file_of(label, left, right, whole.T)) < 0.03
