"""The stored tensors nearest to a new one are found, however many there are."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from cairn.domain import Digest, DType, Span
from cairn.store.backends import LocalBackend
from cairn.store.backends.base import replace_bytes
from cairn.store.keys import sketch_key
from cairn.store.kin import MAX_DISTANCE, Kin
from cairn.store.sampled import BLOCK_ROWS, SampledTensors
from cairn.store.sketches import SAMPLES, Sketch, encode_sketches

ELEMENTS = 10_000


def sketch(values: np.ndarray, dtype: DType = DType.F32) -> Sketch:
    span = Span(0, ELEMENTS * dtype.block_bytes)
    return Sketch(span, dtype, ELEMENTS, values.astype(np.float32))


def blob(number: int) -> Digest:
    return Digest("sha256", hashlib.sha256(str(number).encode()).hexdigest())


def kept(backend: LocalBackend, number: int, values: np.ndarray) -> None:
    """The sketches of a blob with one tensor."""
    replace_bytes(
        backend, sketch_key(blob(number)), encode_sketches(blob(number), [sketch(values)])
    )


def test_a_search_block_by_block_finds_what_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2 * BLOCK_ROWS + 100, SAMPLES), dtype=np.float32)
    tensors = SampledTensors(DType.F32, ELEMENTS)
    for number, row in enumerate(values):
        tensors.add(blob(number), sketch(row))
    wanted = values[BLOCK_ROWS] + np.float32(0.01)
    distances = np.abs(values - wanted).mean(axis=1) / np.abs(wanted).mean()
    nearest = np.argsort(distances)[:5]
    found = tensors.near(sketch(wanted), 10.0, 5)
    assert [near.blob for near in found] == [blob(number) for number in nearest]
    np.testing.assert_allclose([near.distance for near in found], distances[nearest], rtol=1e-5)
    np.testing.assert_array_equal(found[0].sketch.values, values[BLOCK_ROWS])
    assert [near.blob for near in tensors.near(sketch(wanted), MAX_DISTANCE, 5)] == [
        blob(BLOCK_ROWS)
    ]


def test_the_latest_wins_among_equals(tmp_path: Path) -> None:
    kin, values = Kin(LocalBackend(tmp_path)), np.linspace(-1, 1, SAMPLES)
    for number in range(5):
        kin.add(blob(number), [sketch(values)], float(number))
    assert [near.blob for near in kin.nearest(sketch(values))] == [
        blob(number) for number in (4, 3, 2, 1, 0)
    ]


def test_tensors_of_a_blob_that_was_removed_are_not_found_again(tmp_path: Path) -> None:
    backend, values = LocalBackend(tmp_path), np.linspace(-1, 1, SAMPLES)
    for number in range(3):
        kept(backend, number, values * (1 + number / 1000))
    kin = Kin(backend)
    kin.refresh()
    assert {near.blob for near in kin.nearest(sketch(values * 1.001))} == {blob(1)}
    backend.delete(sketch_key(blob(1)))
    kin.refresh()
    found = {near.blob for near in kin.nearest(sketch(values * 1.001))}
    assert found == {blob(0), blob(2)}
    kept(backend, 1, values * 1.001)
    kin.refresh()
    assert {near.blob for near in kin.nearest(sketch(values * 1.001))} == {blob(1)}


def test_tensors_of_a_blob_whose_rewriting_failed_are_forgotten(tmp_path: Path) -> None:
    kin, values = Kin(LocalBackend(tmp_path)), np.linspace(-1, 1, SAMPLES)
    kin.add(blob(0), [sketch(values)])
    with pytest.raises(OSError, match="disk"), kin.learning(blob(1)):
        kin.add(blob(1), [sketch(values)])
        raise OSError("disk")
    with kin.learning(blob(2)):
        kin.add(blob(2), [sketch(values)])
    assert [near.blob for near in kin.nearest(sketch(values))] == [blob(2), blob(0)]
