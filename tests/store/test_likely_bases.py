"""What the origin of a blob says of its bases is tried first, and never believed unseen."""

from pathlib import Path

import numpy as np
import pytest

from cairn.domain import Digest
from cairn.store import BlobStore, LikelyBase, open_local_store
from tests.store.making import layout_of, safetensors, shaped_safetensors
from tests.store.test_derived import base_values, keep, read, records, trained

SMALL = 2_000  # elements of F32: too few bytes for a sketch
FILLER = ("F32", base_values(99).tobytes())  # smaller files stay raw


def small_file(seed: int, moved: float = 0.0, name: str = "bias") -> bytes:
    values = base_values(seed)[:SMALL]
    return safetensors({name: ("F32", trained(values, 7, moved).tobytes()), "filler": FILLER})


def keep_with(store: BlobStore, file: bytes, *bases: bytes) -> Digest:
    """Keep the bases, then the file, told that it was made from them."""
    likely = [LikelyBase(keep(store, base), layout_of(base)) for base in bases]
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file), likely=likely)
    return digest


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def depths(root: Path) -> list[int]:
    return [depth for codec, depth in records(root) if codec not in ("raw", "zstd")]


def test_tensors_too_small_for_a_sketch_are_made_from_their_namesakes(
    store: BlobStore, tmp_path: Path
) -> None:
    file = small_file(1, moved=1e-5)
    digest = keep_with(store, file, small_file(1))
    assert depths(tmp_path) == [0, 0, 1]
    assert read(store, digest) == file


def test_types_without_sketches_are_made_from_their_namesakes(store: BlobStore) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-(2**31), 2**31, 50_000).astype("<i4")  # eight of four bits, as in GPTQ
    tuned = np.where(rng.random(len(codes)) < 0.05, codes ^ 16, codes).astype("<i4")
    base, file = (safetensors({"w": ("I32", d.tobytes())}) for d in (codes, tuned))
    keep(store, base)
    before = store.stats().stored_bytes
    digest = keep_with(store, file, base)
    assert store.stats().stored_bytes - before < 0.15 * len(file)
    assert read(store, digest) == file


def test_a_namesake_that_is_not_near_is_no_base(store: BlobStore, tmp_path: Path) -> None:
    digest = keep_with(store, file := small_file(1), small_file(2))
    assert depths(tmp_path) == [0, 0, 0]
    assert read(store, digest) == file


def test_the_namesake_with_the_smallest_difference_is_the_base(
    store: BlobStore, tmp_path: Path
) -> None:
    file = small_file(1, moved=1e-6)
    keep_with(store, file, small_file(1, moved=1e-3), small_file(1))
    assert depths(tmp_path)[-1] == 1
    assert store.stats().by_codec["same"].stored_bytes < 0.5 * 4 * SMALL


def test_namesakes_of_another_shape_are_passed_over(store: BlobStore, tmp_path: Path) -> None:
    data = base_values(1)[:SMALL].tobytes()
    base, file = (
        shaped_safetensors({"w": ("F32", shape, data), "filler": ("F32", (60_000,), FILLER[1])})
        for shape in ((SMALL,), (2, SMALL // 2))
    )
    moved = file.replace(data, trained(base_values(1)[:SMALL], 3, 1e-6).tobytes())
    digest = keep_with(store, moved, base)
    assert depths(tmp_path) == [0, 0, 0]
    assert read(store, digest) == moved


def test_other_names_and_blobs_that_are_not_here_change_nothing(
    store: BlobStore, tmp_path: Path
) -> None:
    other = small_file(1, name="weight")
    keep(store, other)
    file = small_file(1, moved=1e-5)
    absent = LikelyBase(Digest.sha256("0" * 64), layout_of(small_file(1)))
    digest = store.put_bytes(file).digest
    store.optimize(
        digest, layout_of(file),
        likely=[absent, LikelyBase(store.put_bytes(other).digest, layout_of(other))],
    )  # fmt: skip
    assert depths(tmp_path) == [0, 0, 0]
    assert read(store, digest) == file
