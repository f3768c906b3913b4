"""Tensors kept as differences to others: what is found, what it takes, what gc and damage do."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from cairn.domain import Digest
from cairn.errors import IntegrityError
from cairn.store import BlobStore, open_local_store
from cairn.store.keys import sketch_key
from cairn.store.needed import with_bases
from cairn.store.pack_index import PackIndex, load_index
from cairn.store.packs import RECORD_HEAD_BYTES, Record
from cairn.store.profiles import FAST, SMALL
from cairn.store.recipes import parse_recipe
from tests.store.making import layout_of, safetensors

COUNT = 60_000


def base_values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, COUNT).astype("<f4")


def trained(values: np.ndarray, seed: int, size: float = 1e-4) -> np.ndarray:
    """A fine-tune: every weight moves a little."""
    noise = np.random.default_rng(1000 + seed).normal(0, size, len(values))
    return (values + noise).astype("<f4")


def file_of(*tensors: np.ndarray) -> bytes:
    return safetensors({f"layer.{n}": ("F32", t.tobytes()) for n, t in enumerate(tensors)})


def halves(values: np.ndarray) -> bytes:
    """bfloat16, to nearest."""
    bits = values.view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def read(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as reader:
        return b"".join(reader.stream())


def keep(store: BlobStore, file: bytes) -> Digest:
    """Put a file and rewrite it."""
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file))
    return digest


def kept_in(store: BlobStore, file: bytes) -> float:
    """Put and rewrite a file; the share of its bytes that the store grew by."""
    before = store.stats().stored_bytes
    keep(store, file)
    return (store.stats().stored_bytes - before) / len(file)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def records(store_root: Path) -> list[tuple[str, int]]:
    """Codec and depth of every record, in the order they were written."""
    found = []
    for pack in sorted(store_root.glob("packs/*.pack"), key=lambda path: path.stat().st_mtime_ns):
        data, at = pack.read_bytes(), 16
        while data[at : at + 4] == b"PART":
            (stored,) = struct.unpack_from("<I", data, at + 48)
            codec = data[at + 56 : at + 72].rstrip(b"\0").decode()
            found.append((codec, data[at + 90]))
            at += RECORD_HEAD_BYTES + stored
    return found


def test_a_fine_tune_is_kept_as_its_difference(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    assert kept_in(store, file_of(base)) > 0.8
    tune = file_of(trained(base, 1))
    assert kept_in(store, tune) < 0.62  # 12 of 24 significant bits are noise of this size
    assert read(store, keep(store, tune)) == tune
    assert [codec for codec, _ in records(tmp_path) if codec != "raw"] == ["planes", "same"]


@pytest.mark.parametrize("label", ["BF16", "F16"])
def test_a_cast_is_kept_as_the_recipe_alone(store: BlobStore, label: str) -> None:
    base = base_values()
    keep(store, file_of(base))
    data = halves(base) if label == "BF16" else base.astype("<f2").tobytes()
    cast = safetensors({"layer.0": (label, data)})
    assert kept_in(store, cast) < 0.02  # record, index entry, sketch, recipe of a small file
    assert read(store, keep(store, cast)) == cast


def test_a_wider_copy_is_kept_as_the_recipe_alone(store: BlobStore) -> None:
    half = np.frombuffer(halves(base_values()), "<u2")
    keep(store, safetensors({"w": ("BF16", half.tobytes())}))
    wide = file_of((half.astype("<u4") << 16).view("<f4"))
    assert kept_in(store, wide) < 0.02
    assert read(store, keep(store, wide)) == wide


def test_a_cast_that_was_trained_on_is_kept_as_its_difference(store: BlobStore) -> None:
    base = base_values()
    keep(store, file_of(base))
    cast = safetensors({"layer.0": ("BF16", halves(trained(base, 1)))})
    assert kept_in(store, cast) < 0.35
    assert read(store, keep(store, cast)) == cast


@pytest.mark.parametrize(("beta", "kind"), [(0.999, "exp_avg_sq"), (0.9, "exp_avg")])
def test_moments_without_gradient_are_kept_as_a_decay(
    store: BlobStore, tmp_path: Path, beta: float, kind: str
) -> None:
    """Half of the rows get gradients between two saves, the others decay."""
    moments = np.abs(base_values()) ** 2 if kind == "exp_avg_sq" else base_values()
    keep(store, file_of(moments.astype("<f4")))
    after = moments.astype("<f4")
    for _ in range(50):
        if kind == "exp_avg_sq":
            after = after * np.float32(beta)
        else:
            after = (after - np.float64(np.float32(1 - beta)) * after.astype("<f8")).astype("<f4")
    after[: COUNT // 2] = base_values(9)[: COUNT // 2]
    later = file_of(after)
    assert kept_in(store, later) < 0.55
    assert ("decay", 1) in records(tmp_path)
    assert read(store, keep(store, later)) == later


def test_unrelated_tensors_are_kept_alone(store: BlobStore, tmp_path: Path) -> None:
    for seed in range(3):
        keep(store, file_of(base_values(seed)))
    assert {codec for codec, _ in records(tmp_path)} == {"planes", "raw"}  # raw: the headers


def test_the_nearest_of_several_tensors_is_the_base(store: BlobStore) -> None:
    base = base_values()
    step = trained(base, 1, 1e-3)
    for file in (file_of(base), file_of(base_values(5)), file_of(step)):
        keep(store, file)
    far = trained(step, 2, 1e-6)
    assert kept_in(store, file_of(far)) < 0.4


def test_a_tensor_that_spans_many_parts_has_bases_part_by_part(store: BlobStore) -> None:
    values = np.random.default_rng(4).normal(0, 0.02, 3_000_000).astype("<f4")
    keep(store, file_of(values))
    cast = safetensors({"layer.0": ("BF16", halves(values))})
    assert kept_in(store, cast) < 0.001
    digest = keep(store, cast)
    with store.open(digest) as reader:
        assert reader.read_at(5_000_000, 1000) == cast[5_000_000:5_001_000]
    assert store.verify([digest]).bad == ()


def test_a_long_series_reads_through_a_bounded_chain(store: BlobStore, tmp_path: Path) -> None:
    values = base_values()
    files = []
    for step in range(3 * SMALL.max_chain):
        files.append(file_of(values))
        keep(store, files[-1])
        values = trained(values, step)
    depths = [depth for codec, depth in records(tmp_path) if codec != "raw"]
    assert max(depths) == SMALL.max_chain
    assert depths.count(0) < len(files) / 2
    assert [read(store, keep(store, file)) for file in files] == files


def test_the_fast_profile_decodes_one_base_at_most(store: BlobStore, tmp_path: Path) -> None:
    values = base_values()
    keep(store, file_of(values))
    files = []
    for step in range(4):
        values = trained(values, step)
        files.append(file_of(values))
        digest = store.put_bytes(files[-1]).digest
        done = store.optimize(digest, layout_of(files[-1]), profile=FAST)
        assert done.stored_after < 0.75 * len(files[-1])
        assert read(store, digest) == files[-1]
    depths = [depth for codec, depth in records(tmp_path) if codec != "raw"]
    assert sorted(depths) == [0, 1, 1, 1, 1]


def test_the_fast_profile_takes_the_bottom_of_a_long_chain_as_base(
    store: BlobStore, tmp_path: Path
) -> None:
    values = base_values()
    for step in range(3):
        keep(store, file_of(values))
        values = trained(values, step)
    file = file_of(values)
    store.optimize(store.put_bytes(file).digest, layout_of(file), profile=FAST)
    depths = [depth for codec, depth in records(tmp_path) if codec != "raw"]
    assert sorted(depths) == [0, 1, 1, 2]


def test_a_series_that_left_its_first_step_behind_begins_anew(
    store: BlobStore, tmp_path: Path
) -> None:
    values = base_values()
    for step in range(2 * SMALL.max_chain + 2):
        keep(store, file_of(values))
        values = trained(values, step, 2e-2)  # after some steps nothing of the first is left
    depths = [depth for codec, depth in records(tmp_path) if codec != "raw"]
    assert depths.count(0) > 1


def test_deleting_a_parent_leaves_its_children_whole(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    parent = keep(store, file_of(base))
    tune, cast = file_of(trained(base, 1)), safetensors({"w": ("BF16", halves(base))})
    children = [keep(store, tune), keep(store, cast)]
    for _ in range(3):
        store.collect(lambda: children, 0)
    assert not store.has(parent)
    assert not (tmp_path / sketch_key(parent)).exists()
    assert [read(store, child) for child in children] == [tune, cast]
    assert store.verify().bad == ()
    fresh = open_local_store(tmp_path)
    assert [read(fresh, child) for child in children] == [tune, cast]


def test_what_only_deleted_children_needed_is_freed(store: BlobStore) -> None:
    base = base_values()
    keep(store, file_of(base))
    child = keep(store, file_of(trained(base, 1)))
    store.collect(lambda: [child], 0)
    assert store.stats().parts == 3  # the parent's tensor is still needed
    store.collect(list, 0)
    store.collect(list, 0)
    assert (store.stats().parts, store.stats().stored_bytes) == (0, 0)


def test_a_damaged_base_is_named_with_the_blob_that_needs_it(
    store: BlobStore, tmp_path: Path
) -> None:
    base = base_values()
    keep(store, file_of(base))
    (pack,) = tmp_path.glob("packs/*.pack")
    child = keep(store, file_of(trained(base, 1)))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(IntegrityError, match="does not match its digest") as caught:
        read(open_local_store(tmp_path), child)
    assert child.hex in str(caught.value)


def test_uploading_again_heals_what_a_damaged_base_broke(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    files = [file_of(base), file_of(trained(base, 1))]
    digests = [keep(store, file) for file in files]
    for pack in tmp_path.glob("packs/*.pack"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    healed = open_local_store(tmp_path)
    assert len(healed.verify().bad) == 2
    assert [keep(healed, file) for file in files] == digests
    assert healed.verify().bad == ()


def test_a_record_that_claims_to_be_its_own_base_is_damage(
    store: BlobStore, tmp_path: Path
) -> None:
    """Nothing recurses without end, whatever a pack says."""
    base = base_values()
    keep(store, file_of(base))
    packs = set(tmp_path.glob("packs/*.pack"))
    child = keep(store, file_of(trained(base, 1)))
    (pack,) = set(tmp_path.glob("packs/*.pack")) - packs
    data = bytearray(pack.read_bytes())
    at = 16
    data[at + RECORD_HEAD_BYTES : at + RECORD_HEAD_BYTES + 32] = data[at + 8 : at + 40]
    body_bytes = struct.unpack_from("<I", data, at + 48)[0]
    body = data[at + RECORD_HEAD_BYTES : at + RECORD_HEAD_BYTES + body_bytes]
    from blake3 import blake3

    data[at + 40 : at + 48] = blake3(bytes(body)).digest(8)
    data[at + 4 : at + 8] = struct.pack("<I", zlib.crc32(data[at + 8 : at + RECORD_HEAD_BYTES]))
    pack.write_bytes(data)
    with pytest.raises(IntegrityError, match="made from itself"):
        read(open_local_store(tmp_path), child)


def test_a_lost_sketch_costs_space_and_nothing_else(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    parent = keep(store, file_of(base))
    (tmp_path / sketch_key(parent)).write_bytes(b"damaged")
    fresh = open_local_store(tmp_path)
    tune = file_of(trained(base, 1))
    assert kept_in(fresh, tune) > 0.8
    assert read(fresh, keep(fresh, tune)) == tune


def test_a_part_whose_base_is_gone_is_written_anew(store: BlobStore, tmp_path: Path) -> None:
    """A record may outlive its base in a pack that gc has not rewritten yet."""
    base = base_values()
    keep(store, file_of(base))
    (base_pack,) = tmp_path.glob("packs/*.pack")
    tune = file_of(trained(base, 1))
    digest = keep(store, tune)
    (tmp_path / "recipes" / digest.hex[:2] / digest.hex).unlink()
    base_pack.unlink()
    base_pack.with_suffix(".idx").unlink()
    fresh = open_local_store(tmp_path)
    assert read(fresh, keep(fresh, tune)) == tune


def test_an_index_made_anew_knows_the_bases(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    keep(store, file_of(base))
    keep(store, file_of(trained(base, 1)))
    backend = store._backend
    names = [path.stem for path in tmp_path.glob("packs/*.pack")]
    before = {name: load_index(backend, name).bases() for name in names}
    assert sum(map(len, before.values())) == 1
    for name in names:
        (tmp_path / "packs" / f"{name}.idx").unlink()
    assert {name: load_index(backend, name).bases() for name in names} == before


def test_a_recipe_does_not_know_how_its_parts_are_kept(store: BlobStore, tmp_path: Path) -> None:
    base = base_values()
    keep(store, file_of(base))
    tune = file_of(trained(base, 1))
    digest = keep(store, tune)
    data = (tmp_path / "recipes" / digest.hex[:2] / digest.hex).read_bytes()
    assert sum(part.plain_bytes for part in parse_recipe(data, digest).parts()) == len(tune)


def index_of(*rows: tuple[int, list[int]]) -> PackIndex:
    """An index of parts with these numbers and bases."""
    return PackIndex.of(
        [
            Record(
                name(n), b"", 1, 1, "same", None, 0, len(bases), 1 if bases else 0,
                tuple(name(b) for b in bases),
            )
            for n, bases in rows
        ],
        0,
    )  # fmt: skip


def name(number: int) -> bytes:
    return bytes([number]) * 32


def test_needed_parts_bring_their_bases_and_the_bases_of_those() -> None:
    indexes = [index_of((1, [2]), (9, [8])), index_of((2, [3, 4]), (3, []), (4, []))]
    assert with_bases({name(1)}, indexes) == {name(n) for n in (1, 2, 3, 4)}


def test_only_the_record_that_counts_says_which_bases_are_needed() -> None:
    newer_alone = [index_of((1, [])), index_of((1, [2]), (2, []))]
    assert with_bases({name(1)}, newer_alone) == {name(1)}
    newer_derived = [index_of((1, [3]), (3, [])), index_of((1, [2]), (2, []))]
    assert with_bases({name(1)}, newer_derived) == {name(1), name(3)}
