"""Garbage collection: what goes, what stays, when, and what open readers see."""

import os
import threading
import time
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError
from cairn.store import BlobStore, open_local_store
from cairn.store.collecting import Collection
from tests.store.making import checkpoint, layout_of, optimized, small_pack_store


def read_all(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as reader:
        return b"".join(reader.stream())


def age(root: Path, seconds: float) -> None:
    """Make everything stored look older."""
    for path in root.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


def test_dead_blobs_go_and_live_ones_stay(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    files = [checkpoint([n, n + 1]) for n in range(0, 8, 2)]
    digests = [optimized(store, file) for file in files]
    raw_dead = store.put_bytes(b"dead").digest
    raw_live = store.put_bytes(b"live").digest
    before = store.stats().stored_bytes
    done = store.collect(lambda: [*digests[:2], raw_live], 0)
    assert done.blobs == 3
    assert not store.has(raw_dead)
    assert not store.has(digests[3])
    assert [read_all(store, d) for d in digests[:2]] == files[:2]
    assert read_all(store, raw_live) == b"live"
    assert done.freed_bytes == before - store.stats().stored_bytes
    assert store.stats().stored_bytes < 0.6 * before
    assert open_local_store(tmp_path).verify().bad == ()


def test_collecting_again_finds_nothing_to_do(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    digests = [optimized(store, checkpoint([n, 50, n + 1])) for n in range(6)]
    store.collect(lambda: digests[:3], 0)
    listing = sorted(p.name for p in tmp_path.glob("packs/*"))
    again = store.collect(lambda: digests[:3], 0)
    assert (again.blobs, again.packs_removed, again.packs_rewritten) == (0, 0, 0)
    assert again.freed_bytes == 0
    assert sorted(p.name for p in tmp_path.glob("packs/*")) == listing


def test_young_blobs_are_spared(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(b"just uploaded").digest
    assert store.collect(list, 3600).blobs == 0
    age(tmp_path, 4000)
    assert store.collect(list, 3600).blobs == 1
    assert not store.has(digest)


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_touch_or_a_second_put_restarts_the_grace(tmp_path: Path, rewritten: bool) -> None:
    store = open_local_store(tmp_path)
    files = [checkpoint([1]), checkpoint([2])]
    digests = [store.put_bytes(file).digest for file in files]
    if rewritten:
        for digest, file in zip(digests, files, strict=True):
            store.optimize(digest, layout_of(file))
    age(tmp_path, 4000)
    assert store.touch(digests[0]).size_bytes == len(files[0])
    store.put_bytes(files[1])
    assert store.collect(list, 3600).blobs == 0
    assert [read_all(store, d) for d in digests] == files


def test_a_touch_between_mark_and_sweep_saves_the_blob(tmp_path: Path) -> None:
    """The commit that gc's view of live blobs just missed."""
    store = open_local_store(tmp_path)
    digest = store.put_bytes(b"about to be committed").digest
    age(tmp_path, 4000)

    def live_then_touched() -> list[Digest]:
        store.touch(digest)
        return []

    assert store.collect(live_then_touched, 3600).blobs == 0
    assert store.has(digest)


@pytest.mark.parametrize("word", ["touch", "put"])
def test_what_is_confirmed_while_a_sweep_deletes_is_there_afterwards(
    tmp_path: Path, word: str
) -> None:
    """Between gc's last look at the time and its deletion nobody may confirm the blob."""
    store = open_local_store(tmp_path)
    digest = store.put_bytes(b"unwanted until now").digest
    age(tmp_path, 4000)
    confirmed: list[bool] = []

    def confirm() -> None:
        try:
            if word == "touch":
                store.touch(digest)
            else:
                store.put_bytes(b"unwanted until now")
            confirmed.append(True)
        except BlobNotFoundError:
            confirmed.append(False)

    thread = threading.Thread(target=confirm)
    remove = Collection._remove_blob

    def remove_slowly(self: Collection, doomed: Digest) -> None:
        thread.start()
        thread.join(0.2)
        remove(self, doomed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collection, "_remove_blob", remove_slowly)
        store.collect(list, 3600)
    thread.join(10)
    assert confirmed == [store.has(digest)]
    assert store.has(digest) is (word == "put")


def test_open_readers_of_rewritten_packs_go_on(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    dead = optimized(store, checkpoint(range(20)))
    file = checkpoint(range(0, 20, 2))  # one of two tensors in each pack
    live = optimized(store, file)
    other = open_local_store(tmp_path)  # another process, as far as the store can tell
    with store.open(live) as here, other.open(live) as there:
        streams = [here.stream(block_bytes=10_000), there.stream(block_bytes=10_000)]
        got = [[next(s)] for s in streams]
        packs = set(tmp_path.glob("packs/*.pack"))
        done = store.collect(lambda: [live], 0)
        assert done.packs_rewritten >= 5
        assert len(packs - set(tmp_path.glob("packs/*.pack"))) >= 5
        for blocks, stream in zip(got, streams, strict=True):
            blocks.extend(stream)
            assert b"".join(blocks) == file
    assert not store.has(dead)


def test_packs_wait_for_readers_of_dead_blobs(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    file = checkpoint(range(4))
    digest = optimized(store, file)
    age(tmp_path, 100)
    with store.open(digest) as reader:
        stream = reader.stream(block_bytes=10_000)
        first = next(stream)
        done = store.collect(list, 50)
        assert (done.blobs, done.packs_condemned, done.packs_removed) == (1, 1, 0)
        assert not store.has(digest)
        assert first + b"".join(stream) == file
    assert store.collect(list, 50).packs_removed == 0
    age(tmp_path, 100)
    assert store.collect(list, 50).packs_removed == 1
    assert list(tmp_path.glob("packs/*")) == []


def test_an_open_raw_reader_survives_optimize_and_gc(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    file = checkpoint(range(3))
    digest = store.put_bytes(file).digest
    with store.open(digest) as reader:
        stream = reader.stream(block_bytes=1_000)
        first = next(stream)
        store.optimize(digest, layout_of(file))
        store.collect(list, 0)
        assert first + b"".join(stream) == file


def test_a_blob_uploaded_again_revives_its_condemned_pack(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    file = checkpoint([1, 2])
    digest = optimized(store, file)
    age(tmp_path, 100)
    assert store.collect(list, 50).packs_condemned == 1
    assert optimized(store, file) == digest
    assert list(tmp_path.glob("packs/*.dead")) == []
    age(tmp_path, 100)
    store.collect(lambda: [digest], 50)
    assert read_all(open_local_store(tmp_path), digest) == file


def test_a_condemned_pack_that_a_recipe_needs_is_pardoned(tmp_path: Path) -> None:
    """A kill between sealing a pack again and removing its mark, or a hand that set one."""
    store = open_local_store(tmp_path)
    file = checkpoint([1, 2])
    digest = optimized(store, file)
    pack = next(tmp_path.glob("packs/*.pack"))
    pack.with_suffix(".dead").touch()
    age(tmp_path, 9_000)
    done = store.collect(lambda: [digest], 0)
    assert done.packs_removed == 0
    assert not pack.with_suffix(".dead").exists()
    assert read_all(store, digest) == file


def test_leftovers_of_killed_deletions_are_removed(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    optimized(store, checkpoint([1]))
    next(tmp_path.glob("packs/*.pack")).unlink()
    store.collect(list, 0)
    assert list(tmp_path.glob("packs/*")) == []


def test_small_packs_are_merged(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    files = [checkpoint([n]) for n in range(8)]
    digests = [optimized(store, file) for file in files]
    assert store.stats().packs == 8
    store.collect(lambda: digests, 0)
    assert store.stats().packs == 1
    assert [read_all(store, d) for d in digests] == files


def test_the_same_part_in_two_packs_is_kept_once(tmp_path: Path) -> None:
    """What a kill between sealing a rewritten pack and condemning the old one leaves."""
    store = small_pack_store(tmp_path)
    file = checkpoint(range(6))
    digest = optimized(store, file)
    dead = optimized(store, checkpoint([100, 101, 102, 103, 104]))

    class KilledError(Exception):
        pass

    def stop(self: Collection, packs: object) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collection, "_remove_condemned", stop)
        with pytest.raises(KilledError):
            store.collect(lambda: [digest], 0)
    for mark in tmp_path.glob("packs/*.dead"):
        mark.unlink()
    store = open_local_store(tmp_path)
    store.collect(lambda: [digest], 0)
    settled = store.stats()
    assert read_all(store, digest) == file
    store.collect(lambda: [digest], 0)
    assert store.stats() == settled
    assert settled.parts <= 7
    assert not store.has(dead)


def test_verdicts_and_drafts_go_with_what_they_were_for(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    noise = os.urandom(200_000)
    digest = store.put_bytes(noise).digest
    assert not store.optimize(digest, None).rewritten
    assert list(tmp_path.glob("settled/*/*"))
    (tmp_path / "tmp/1-abandoned").write_bytes(b"x" * 500)
    time.sleep(0.01)
    done = store.collect(list, 0)
    assert done.freed_bytes == len(noise) + 500
    assert list(tmp_path.glob("settled/*/*")) == []
    assert list(tmp_path.glob("tmp/*")) == []
