"""Blobs that are encoded once more, for another use: what changes, and that nothing is lost."""

import os
import random
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError, RequestError, UnavailableError
from cairn.store import FAST, SMALL, BlobStore, open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.codecs import CODECS
from cairn.store.keys import sketch_key
from cairn.store.pack_index import load_indexes
from cairn.store.parts import PartStore
from cairn.store.profiles import Profile
from cairn.store.recipes import parse_recipe
from tests.store import families
from tests.store.making import layout_of, small_pack_store
from tests.store.test_derived import base_values, file_of, keep, read, trained

STEPS = SMALL.max_chain + 1  # the last one lies as deep as any may
SHALLOW = Profile("small", max_chain=2, conversions=1, quick=False)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def steps(count: int = STEPS) -> list[bytes]:
    """A series: each file was trained on from the one before."""
    values, files = base_values(), []
    for step in range(count):
        files.append(file_of(values))
        values = trained(values, step)
    return files


def parts_of(root: Path) -> PartStore:
    parts = PartStore(LocalBackend(root), CODECS)
    parts.index.refresh()
    return parts


def depth_of(root: Path, digest: Digest) -> int:
    """How deep the deepest of the blob's parts lies."""
    parts = parts_of(root)
    recipe = parse_recipe((root / f"recipes/{digest.hex[:2]}/{digest.hex}").read_bytes(), digest)
    return max(k.record.depth for p in recipe.parts() if (k := parts.kept(p.digest)) is not None)


def check_bases_lie_less_deep(root: Path) -> None:
    """Of every part, the record that counts is made from ones that count and lie less deep."""
    parts = parts_of(root)
    for index in load_indexes(parts.backend).values():
        for digest in index.digests():
            kept = parts.kept(digest)
            assert kept is not None
            for base in kept.bases:
                below = parts.kept(base.digest)
                # A record that no blob needs may outlive what it was made from.
                assert below is None or below.record.depth < kept.record.depth


def remade(store: BlobStore, file: bytes, digest: Digest, profile: Profile = SMALL) -> bool:
    return store.remake(digest, layout_of(file), profile=profile).rewritten


def test_the_newest_of_a_series_is_made_shallow_and_comes_back_the_same(
    store: BlobStore, tmp_path: Path
) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    assert depth_of(tmp_path, digests[-1]) == STEPS - 1
    assert remade(store, files[-1], digests[-1], FAST)
    assert depth_of(tmp_path, digests[-1]) == 1
    assert list(store.kept_fast()) == [digests[-1]]
    assert [read(open_local_store(tmp_path), digest) for digest in digests] == files


def test_a_new_file_that_shares_deep_tensors_is_made_fast_and_ends(
    store: BlobStore, tmp_path: Path
) -> None:
    tensors = [base_values(seed) for seed in range(4)]
    for step in (1, 2):  # the last two lie deeper than a fast file's may
        keep(store, file_of(*tensors))
        tensors = [trained(values, step) for values in tensors]
    keep(store, file_of(*tensors))
    file = file_of(*tensors[:3], trained(tensors[3], 3))
    digest = store.put_bytes(file).digest

    # Its shared tensors are found as bases of themselves; waiting for those would never end.
    def optimize() -> None:
        store.optimize(digest, layout_of(file), profile=FAST)

    working = Thread(target=optimize, daemon=True)
    working.start()
    working.join(60)
    assert not working.is_alive()
    assert depth_of(tmp_path, digest) == 1
    assert read(open_local_store(tmp_path), digest) == file
    check_bases_lie_less_deep(tmp_path)


def test_what_is_as_its_profile_wants_it_is_not_written_again(store: BlobStore) -> None:
    files = steps(3)
    digests = [keep(store, file) for file in files]
    for profile in (SMALL, FAST, SMALL):
        remade(store, files[-1], digests[-1], profile)
        before = store.stats()
        assert not remade(store, files[-1], digests[-1], profile)
        assert store.stats() == before


def test_made_small_again_a_blob_takes_what_it_took_before(
    store: BlobStore, tmp_path: Path
) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    before = store.stored_bytes(digests)
    assert remade(store, files[-1], digests[-1], FAST)
    assert store.stored_bytes(digests) > before + 10_000
    assert remade(store, files[-1], digests[-1])
    assert store.stored_bytes(digests) <= before + 100
    assert store.kept_fast() == {}
    assert depth_of(tmp_path, digests[-1]) == STEPS - 1


def test_gc_drops_what_a_remade_blob_no_longer_needs(store: BlobStore, tmp_path: Path) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    assert remade(store, files[-1], digests[-1], FAST)
    store.collect(lambda: digests[-1:], 0)
    # The first step and the newest: the ones between, through which it was read, are gone.
    assert set(store.take_stock().by_depth()) == {0, 1}
    assert store.stats().stored_bytes < 0.85 * 2 * len(files[0])
    assert read(store, digests[-1]) == files[-1]
    check_bases_lie_less_deep(tmp_path)


def test_compacting_frees_replaced_records_and_removes_no_blob(
    store: BlobStore, tmp_path: Path
) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    for file, digest in zip(files, digests, strict=True):
        remade(store, file, digest, FAST)
    before = store.stats()
    assert store.compact(0).blobs == 0
    after = store.stats()
    assert after.stored_bytes < 0.8 * before.stored_bytes
    assert (after.blobs, after.logical_bytes) == (before.blobs, before.logical_bytes)
    assert [read(store, digest) for digest in digests] == files
    check_bases_lie_less_deep(tmp_path)


def test_a_reader_that_was_open_goes_on_through_a_remake_and_gc(store: BlobStore) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    with store.open(digests[-1]) as reader:
        assert reader.read_at(0, 100) == files[-1][:100]
        remade(store, files[-1], digests[-1], FAST)
        store.collect(lambda: digests[-1:], 0)
        assert b"".join(reader.stream()) == files[-1]


def test_chains_are_cut_to_another_depth(store: BlobStore, tmp_path: Path) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    for file, digest in zip(files, digests, strict=True):
        remade(store, file, digest, SHALLOW)
    assert [depth_of(tmp_path, digest) for digest in digests] == [0, 1, 2, 1, 2, 1]
    check_bases_lie_less_deep(tmp_path)
    store.collect(lambda: digests, 0)
    assert [read(store, digest) for digest in digests] == files


def test_what_others_are_made_from_never_lies_deeper_than_before(
    store: BlobStore, tmp_path: Path
) -> None:
    files = steps()
    digests = [keep(store, file) for file in files[:-1]]
    assert remade(store, files[-2], digests[-1], FAST)
    digests.append(keep(store, files[-1]))  # made from the one that is kept fast
    assert depth_of(tmp_path, digests[-1]) == 2
    remade(store, files[-2], digests[-2])
    assert depth_of(tmp_path, digests[-2]) == 1
    check_bases_lie_less_deep(tmp_path)


def test_equal_tensors_stay_fast_while_any_blob_needs_them_so(
    store: BlobStore, tmp_path: Path
) -> None:
    files = steps()
    digests = [keep(store, file) for file in files]
    values = np.frombuffer(files[-1][-4 * len(base_values()) :], "<f4")
    frozen = file_of(values, base_values(7))  # its first tensor is that of the last step
    other = keep(store, frozen)
    assert remade(store, frozen, other, FAST)
    remade(store, files[-1], digests[-1])
    assert depth_of(tmp_path, digests[-1]) == 1
    remade(store, frozen, other)
    assert depth_of(tmp_path, digests[-1]) > 1


def test_optimizing_for_fast_reading_says_so(store: BlobStore) -> None:
    first, second = steps(2)
    keep(store, first)
    digest = store.put_bytes(second).digest
    store.optimize(digest, layout_of(second), profile=FAST)
    (since_s,) = store.kept_fast().values()
    assert abs(time.time() - since_s) < 60
    store.collect(list, 0)
    assert store.kept_fast() == {}


def test_a_raw_blob_that_is_remade_is_optimized(store: BlobStore) -> None:
    (file,) = steps(1)
    digest = store.put_bytes(file).digest
    assert remade(store, file, digest)
    assert store.local_path(digest) is None


def test_what_cannot_be_remade_is_refused(store: BlobStore) -> None:
    (file,) = steps(1)
    digest = keep(store, file)
    with pytest.raises(BlobNotFoundError):
        store.remake(Digest.sha256("0" * 64), None)
    with pytest.raises(RequestError, match="layout"):
        store.remake(digest, layout_of(file_of(base_values(), base_values(1))))


def test_a_damaged_blob_is_not_remade_and_marked(store: BlobStore, tmp_path: Path) -> None:
    (file,) = steps(1)
    digest = keep(store, file)
    (pack,) = tmp_path.glob("packs/*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(IntegrityError):
        remade(store, file, digest, SHALLOW)
    assert not store.has(digest)


def test_a_clock_behind_the_newest_pack_is_refused(store: BlobStore, tmp_path: Path) -> None:
    """A record written now would be older than the one it replaces, and not count."""
    files = steps(3)
    digests = [keep(store, file) for file in files]
    for pack in tmp_path.glob("packs/*.pack"):
        os.utime(pack, (time.time() + 100, time.time() + 100))
    with pytest.raises(UnavailableError, match="clock"):
        remade(open_local_store(tmp_path), files[-1], digests[-1], FAST)
    assert read(store, digests[-1]) == files[-1]


def test_gc_falls_back_to_the_old_record_where_the_new_one_is_damaged(
    store: BlobStore, tmp_path: Path
) -> None:
    """With what the old one is made from, which the new one does not need."""
    files = steps()
    digests = [keep(store, file) for file in files]
    packs = set(tmp_path.glob("packs/*.pack"))
    assert remade(store, files[-1], digests[-1], FAST)
    (new,) = set(tmp_path.glob("packs/*.pack")) - packs
    data = bytearray(new.read_bytes())
    data[len(data) // 2] ^= 1
    new.write_bytes(data)
    store = open_local_store(tmp_path)
    assert store.collect(lambda: digests[-1:], 0).damaged == ()
    assert store.collect(lambda: digests[-1:], 0).damaged == ()
    assert read(store, digests[-1]) == files[-1]


def test_a_blob_without_sketches_gets_them(store: BlobStore, tmp_path: Path) -> None:
    """As one of a store of version 1: from then on others are made from it."""
    file, other = steps(2)
    digest = keep(store, file)
    (tmp_path / sketch_key(digest)).unlink()
    store = open_local_store(tmp_path)
    remade(store, file, digest)
    assert (tmp_path / sketch_key(digest)).is_file()
    assert depth_of(tmp_path, keep(store, other)) == 1


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_remade_in_whatever_order_reads_back(tmp_path: Path, seed: int) -> None:
    """New members, drops, remakes in all profiles and gc, at random."""
    rng = random.Random(seed)
    store = small_pack_store(tmp_path)
    kept: dict[int, Digest] = {}
    for _ in range(40):
        match rng.choice(["keep", "remake", "remake", "remake", "gc", "drop"]):
            case "keep":
                number = rng.randrange(2 * families.MEMBERS)
                kept[number] = keep(store, families.member(number))
            case "remake" if kept:
                number = rng.choice(sorted(kept))
                profile = rng.choice([FAST, SMALL, SHALLOW])
                remade(store, families.member(number), kept[number], profile)
                check_bases_lie_less_deep(tmp_path)
            case "gc":
                assert store.collect(lambda: kept.values(), 0).damaged == ()
            case "drop" if kept:
                kept.pop(rng.choice(sorted(kept)))
    store.collect(lambda: kept.values(), 0)
    for number, digest in kept.items():
        assert read(store, digest) == families.member(number)
