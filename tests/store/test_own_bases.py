"""Tensors kept as differences to others of the same file: averages, copies, casts."""

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from cairn.domain import Span
from cairn.errors import IntegrityError
from cairn.formats import BytesSource
from cairn.store import BlobStore, open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.base_parts import BaseParts
from cairn.store.bases import Base
from cairn.store.codecs import CODECS
from cairn.store.packs import Encoded
from cairn.store.parts import PartStore
from cairn.store.profiles import FAST, SMALL
from tests.store.making import layout_of, safetensors
from tests.store.test_derived import base_values, file_of, halves, keep, read, records, trained


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def tensors_in(store_root: Path) -> list[tuple[str, int]]:
    """Codec and depth of every record that is not a header."""
    return [(codec, depth) for codec, depth in records(store_root) if codec not in ("raw", "zstd")]


def test_an_average_is_kept_as_its_difference_to_the_weights_beside_it(
    store: BlobStore, tmp_path: Path
) -> None:
    weights = [base_values(seed) for seed in range(3)]
    file = file_of(*weights, *(trained(values, 1, 1e-6) for values in weights))
    digest = keep(store, file)
    assert tensors_in(tmp_path) == [("planes", 0)] * 3 + [("same", 1)] * 3
    assert store.stats().stored_bytes < 0.65 * len(file)
    assert read(store, digest) == file
    assert read(open_local_store(tmp_path), digest) == file


def test_a_cast_beside_the_tensor_it_was_made_from_is_kept_as_the_recipe_alone(
    store: BlobStore,
) -> None:
    values = base_values()
    alone = store.put_bytes(file_of(values)).digest
    store.optimize(alone, layout_of(file_of(values)))
    before = store.stats().stored_bytes
    fresh = base_values(7)
    both = safetensors({"master": ("F32", fresh.tobytes()), "model": ("BF16", halves(fresh))})
    digest = keep(store, both)
    assert store.stats().stored_bytes - before < 1.02 * before
    assert read(store, digest) == both


def test_copies_of_a_module_that_went_apart_read_through_a_bounded_chain(
    store: BlobStore, tmp_path: Path
) -> None:
    copies = [base_values()]
    for seed in range(2 * SMALL.max_chain + 2):
        copies.append(trained(copies[-1], seed))
    file = file_of(*copies)
    digest = keep(store, file)
    depths = [depth for _, depth in tensors_in(tmp_path)]
    assert max(depths) == SMALL.max_chain
    assert depths.count(0) < len(copies) / 2
    assert read(store, digest) == file


def test_the_fast_profile_reads_through_one_part_of_the_same_file(
    store: BlobStore, tmp_path: Path
) -> None:
    copies = [base_values()]
    for seed in range(4):
        copies.append(trained(copies[-1], seed))
    file = file_of(*copies)
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file), profile=FAST)
    assert [depth for _, depth in tensors_in(tmp_path)] == [0, 1, 1, 1, 1]
    assert read(store, digest) == file


def test_tensors_of_many_parts_are_made_from_each_other_part_by_part(store: BlobStore) -> None:
    values = np.random.default_rng(4).normal(0, 0.02, 2_300_000).astype("<f4")
    file = safetensors({"a": ("F32", values.tobytes()), "b": ("BF16", halves(values))})
    digest = keep(store, file)
    assert store.stats().stored_bytes < 0.9 * values.nbytes
    with store.open(digest) as reader:
        assert reader.read_at(9_500_000, 4_000_000) == file[9_500_000:13_500_000]
    assert store.verify([digest]).bad == ()


def test_the_nearer_of_a_stored_tensor_and_one_of_the_same_file_is_the_base(
    store: BlobStore, tmp_path: Path
) -> None:
    old = base_values()
    keep(store, file_of(old))
    new = trained(old, 1, 1e-3)
    keep(store, file_of(new, trained(new, 2, 1e-6)))
    assert [depth for _, depth in tensors_in(tmp_path)] == [0, 1, 2]


def test_a_blob_that_was_not_rewritten_is_no_base(store: BlobStore, tmp_path: Path) -> None:
    values = base_values()
    file = file_of(values, trained(values, 1))
    digest = store.put_bytes(file).digest
    raw = tmp_path / "raw" / digest.hex[:2] / digest.hex
    raw.chmod(0o644)
    raw.write_bytes(file[:-1] + b"x")
    with pytest.raises(IntegrityError):
        store.optimize(digest, layout_of(file))
    before = len(tensors_in(tmp_path))
    tune = file_of(trained(values, 2, 1e-5))
    assert read(store, keep(store, tune)) == tune
    assert tensors_in(tmp_path)[before:] == [("planes", 0)]


def test_a_source_that_gives_other_bytes_than_before_is_no_base(tmp_path: Path) -> None:
    parts = BaseParts(PartStore(LocalBackend(tmp_path), CODECS))
    before, after = b"a" * 100, b"b" * 100
    encoded: Future[Encoded] = Future()
    digest = blake3(before).digest()
    parts.expect(digest, BytesSource(after), Span(0, 100), 0, encoded)
    with pytest.raises(IntegrityError, match="other bytes"):
        parts.sound_base_into(Base(digest, 0, 10), memoryview(bytearray(10)))


def test_a_part_waits_for_those_before_it_and_never_for_itself_or_those_after(
    tmp_path: Path,
) -> None:
    parts = BaseParts(PartStore(LocalBackend(tmp_path), CODECS))
    digests = [blake3(bytes([n])).digest() for n in range(3)]
    for turn, digest in enumerate(digests):
        encoded: Future[Encoded | None] = Future()
        if turn == 0:
            encoded.set_result(Encoded(digest, 1, "raw", None, b"\0", (), 4))
        parts.expect(digest, BytesSource(b"abc"), Span(turn, turn + 1), turn, encoded)
    with parts.in_turn(1):
        assert parts.depth(digests[0]) == 4
        for digest in digests[1:]:  # whose futures never come
            assert parts.depth(digest) is None, "none of these is stored"
            assert parts.origin(Base(digest, 0, 1)) == Base(digest, 0, 1)
