"""Failing disks and damaged objects: what stays readable, what is named, what is never lost.

The rounds at the end are a short run of `scripts/stress_store.py`.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cairn.domain import Digest
from cairn.errors import CairnError, IntegrityError, UnavailableError
from cairn.store import open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.backends.base import put_bytes, read_all, replace_bytes
from cairn.store.keys import condemned_key, recipe_key, sketch_key
from cairn.store.pack_index import load_index
from tests.store import ordeal
from tests.store.failing_calls import FULL, UNREADABLE, FailingCalls, Kind
from tests.store.making import checkpoint, layout_of, optimized, safetensors, small_pack_store
from tests.store.victims import Victims

COUNT = 40_000


def base_values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, COUNT).astype("<f4")


def trained(values: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(1000 + seed).normal(0, 1e-4, len(values))
    return (values + noise).astype("<f4")


def file_of(*tensors: np.ndarray) -> bytes:
    return safetensors({f"layer.{n}": ("F32", t.tobytes()) for n, t in enumerate(tensors)})


def keep(root: Path, file: bytes) -> Digest:
    """Put and rewrite a file, by a process that knows nothing of what was done before."""
    store = open_local_store(root)
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout_of(file))
    return digest


def read(root: Path, digest: Digest) -> bytes:
    with open_local_store(root).open(digest) as reader:
        return b"".join(reader.stream())


def packs(root: Path) -> set[Path]:
    return set(root.glob("packs/*.pack"))


def flip(path: Path, at: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


BASE = base_values()
TUNE = safetensors({"tuned": ("F32", trained(BASE, 1).tobytes())})  # shares no header


@pytest.fixture
def family(tmp_path: Path) -> tuple[Path, Path, Digest]:
    """A parent and a fine-tune made from it: the pack of each, and the fine-tune."""
    keep(tmp_path, file_of(BASE))
    (parents,) = packs(tmp_path)
    digest = keep(tmp_path, TUNE)
    (childs,) = packs(tmp_path) - {parents}
    return parents, childs, digest


# Derived parts


def test_a_part_is_never_made_from_a_base_that_reads_wrong(tmp_path: Path) -> None:
    """Read back through the same wrong base it would pass, and be lost when the base is right."""
    keep(tmp_path, file_of(BASE))
    (pack,) = packs(tmp_path)
    flip(pack)
    digest = keep(tmp_path, TUNE)
    flip(pack)
    assert read(tmp_path, digest) == TUNE


def test_another_copy_of_a_base_serves_when_one_is_damaged(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    parents, _, digest = family
    flip(parents)
    assert len(open_local_store(tmp_path).verify().bad) == 2
    keep(tmp_path, file_of(BASE))  # the parent alone is sent again
    assert len(packs(tmp_path)) >= 2
    assert read(tmp_path, digest) == TUNE


def test_a_base_that_is_itself_made_from_others_by_now_serves_as_well(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    """Lost, then sent again when there was a relative to make it from: it lies deeper then."""
    parents, _, digest = family
    parents.unlink()
    for lost, _ in open_local_store(tmp_path).verify().bad:
        (tmp_path / sketch_key(lost)).unlink()  # it would be the nearest, and not there
    keep(tmp_path, file_of(trained(BASE, 2)))
    known = packs(tmp_path)
    keep(tmp_path, file_of(BASE))
    (pack,) = packs(tmp_path) - known
    assert b"same" in pack.read_bytes()
    assert read(tmp_path, digest) == TUNE


def test_what_one_reader_got_wrong_is_not_kept_for_the_next(tmp_path: Path) -> None:
    """Each part of a wider copy takes some of a base, which stays in memory for the next part."""
    wide = np.random.default_rng(3).normal(0, 0.02, 1_200_000).astype("<f4").view("<u4")
    wide &= np.uint32(0xFFFF0000)
    keep(tmp_path, safetensors({"w": ("BF16", (wide >> 16).astype("<u2").tobytes())}))
    (pack,) = packs(tmp_path)
    file = file_of(wide.view("<f4"))
    digest = keep(tmp_path, file)
    flip(pack)
    store = open_local_store(tmp_path)
    with pytest.raises(IntegrityError), store.open(digest) as reader:
        reader.read_at(0, len(file))
    flip(pack)
    with store.open(digest) as reader:
        assert reader.read_at(0, len(file)) == file


def test_a_failing_disk_below_a_base_costs_space_and_nothing_else(tmp_path: Path) -> None:
    keep(tmp_path, file_of(BASE))
    (pack,) = packs(tmp_path)
    with FailingCalls(tmp_path, UNREADABLE, only=pack.name).installed():
        digest = keep(tmp_path, TUNE)
        assert read(tmp_path, digest) == TUNE


# Indexes


def test_reading_goes_on_when_an_index_cannot_be_read(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    with FailingCalls(tmp_path, UNREADABLE, only=".idx").installed():
        assert read(tmp_path, family[2]) == TUNE


def test_reading_goes_on_when_a_full_disk_takes_no_new_index(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    for path in tmp_path.glob("packs/*.idx"):
        path.unlink()
    with FailingCalls(tmp_path, FULL).installed():
        assert read(tmp_path, family[2]) == TUNE


def test_a_pack_that_could_not_be_scanned_is_scanned_again(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    for path in tmp_path.glob("packs/*.idx"):
        path.unlink()
    store = open_local_store(tmp_path)
    with (
        FailingCalls(tmp_path, UNREADABLE, only=".pack").installed(),
        pytest.raises(CairnError),
        store.open(family[2]) as reader,
    ):
        reader.read_at(0, 100_000)
    with store.open(family[2]) as reader:
        assert b"".join(reader.stream()) == TUNE


def test_an_index_made_anew_does_not_believe_a_damaged_table_of_bases(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    """gc goes by those names: with a wrong one it would take the true base away."""
    _, childs, digest = family
    childs.with_suffix(".idx").unlink()
    at = childs.read_bytes().index(b"same") - 56 + 96 + 3  # in the digest of its first base
    flip(childs, at)
    found = load_index(LocalBackend(tmp_path), childs.stem)
    assert found.bases() == {}
    assert not childs.with_suffix(".idx").exists()
    for _ in range(3):
        collected = open_local_store(tmp_path).collect(lambda: [digest], 0)
        assert [blob for blob, _ in collected.damaged] == [digest]
    flip(childs, at)
    assert read(tmp_path, digest) == TUNE


# Garbage collection


def test_gc_names_the_blobs_whose_bases_are_lost(
    tmp_path: Path, family: tuple[Path, Path, Digest]
) -> None:
    parents, _, digest = family
    parents.unlink()
    collected = open_local_store(tmp_path).collect(lambda: [digest], 0)
    assert [blob for blob, _ in collected.damaged] == [digest]


def two_copies(root: Path) -> tuple[Path, Path, Digest, bytes]:
    """Two packs with the same tensor, the older condemned: of these only the newer counts."""
    file = checkpoint([1], 30_000)
    digest = optimized(open_local_store(root), file)
    (older,) = packs(root)
    data = older.read_bytes()
    put_bytes(LocalBackend(root), condemned_key(older.stem), b"")
    open_local_store(root).put_bytes(file)
    (root / recipe_key(digest)).unlink()
    other = checkpoint([1, 2], 30_000)
    both = optimized(small_pack_store(root), other)
    assert older.read_bytes() == data
    newer = max(packs(root), key=lambda path: path.stat().st_size)
    assert newer != older
    return older, newer, both, other


def test_gc_keeps_a_copy_until_the_one_that_stays_was_read(tmp_path: Path) -> None:
    _, newer, digest, file = two_copies(tmp_path)
    data = newer.read_bytes()
    flip(newer, data.index(b"PART") + 20_000)
    for _ in range(3):
        open_local_store(tmp_path).collect(lambda: [digest], 0)
    assert read(tmp_path, digest) == file


def test_gc_removes_a_copy_when_the_one_that_stays_reads_well(tmp_path: Path) -> None:
    older, _, digest, file = two_copies(tmp_path)
    open_local_store(tmp_path).collect(lambda: [digest], 0)
    assert not older.exists()
    assert read(tmp_path, digest) == file


def test_gc_on_a_full_disk_removes_what_it_had_condemned(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    optimized(store, checkpoint([1, 2], 30_000))
    (pack,) = packs(tmp_path)
    put_bytes(LocalBackend(tmp_path), condemned_key(pack.stem), b"")
    optimized(store, checkpoint([3, 4], 30_000))
    with FailingCalls(tmp_path, FULL).installed(), pytest.raises(UnavailableError, match="space"):
        open_local_store(tmp_path).collect(list, 0)
    assert not pack.exists()


def test_gc_leaves_a_pack_whose_disk_fails(tmp_path: Path) -> None:
    file = checkpoint([1, 2, 3], 30_000)
    optimized(open_local_store(tmp_path), file)
    kept = optimized(open_local_store(tmp_path), checkpoint([1], 30_000))
    (pack,) = [p for p in packs(tmp_path) if p.stat().st_size > 100_000]
    with FailingCalls(tmp_path, UNREADABLE, only=pack.name).installed():
        assert open_local_store(tmp_path).collect(lambda: [kept], 0).packs_rewritten == 0
    assert pack.exists()
    assert read(tmp_path, kept) == checkpoint([1], 30_000)


# Uploads, verify, optimize


def test_an_upload_is_kept_when_the_recipe_it_would_rely_on_is_broken(tmp_path: Path) -> None:
    digest = keep(tmp_path, TUNE)
    flip(tmp_path / recipe_key(digest))
    store = open_local_store(tmp_path)
    assert store.put_bytes(TUNE).digest == digest
    assert store.read_bytes(digest, 1 << 20) == TUNE
    assert keep(tmp_path, TUNE) == digest
    assert store.verify().bad == ()


def test_verify_goes_on_behind_a_blob_whose_disk_fails(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    digests = [store.put_bytes(checkpoint([n])).digest for n in range(3)]
    with FailingCalls(tmp_path, UNREADABLE, only=digests[1].hex).installed():
        found = store.verify()
    assert (found.checked, [digest for digest, _ in found.bad]) == (3, [digests[1]])
    assert "Input/output error" in found.bad[0][1]
    assert store.has(digests[1])  # the disk may come back: that is no reason to send it again


def test_an_interrupted_rewrite_is_made_durable_before_the_raw_blob_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(TUNE).digest
    raw = store.local_path(digest)
    assert raw is not None
    store.optimize(digest, layout_of(TUNE))
    raw.parent.mkdir(exist_ok=True)
    raw.write_bytes(TUNE)  # as after a kill between the recipe and the removal
    events: list[str] = []
    fsync, unlink = os.fsync, os.unlink

    def synced(descriptor: int) -> None:
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def removed(path: Path) -> None:
        events.append(f"remove {path}")
        unlink(path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "unlink", removed)
    open_local_store(tmp_path).optimize(digest, layout_of(TUNE))
    before = events[: events.index(f"remove {raw}")]
    assert {str((tmp_path / recipe_key(digest)).parent), str(tmp_path / "packs")} <= set(before)


def test_lost_sketches_on_a_failing_disk_do_not_stop_optimize(tmp_path: Path) -> None:
    digest = keep(tmp_path, file_of(BASE))
    with FailingCalls(tmp_path, UNREADABLE, only=sketch_key(digest)).installed():
        assert read(tmp_path, keep(tmp_path, TUNE)) == TUNE


def test_a_newer_store_is_not_marked_as_one_of_ours(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(TUNE).digest
    replace_bytes(LocalBackend(tmp_path), "FORMAT", b"cairn-store 9\n")  # by another process
    with pytest.raises(UnavailableError, match="format 9"):
        store.optimize(digest, layout_of(TUNE))
    assert read_all(LocalBackend(tmp_path), "FORMAT") == b"cairn-store 9\n"


# The local backend


def backend_work(backend: LocalBackend) -> list[Callable[[], object]]:
    return [
        lambda: put_bytes(backend, "raw/bb/two", b"two"),
        lambda: replace_bytes(backend, "raw/aa/one", b"other"),
        lambda: read_all(backend, "raw/aa/one"),
        lambda: backend.info("raw/aa/one"),
        lambda: backend.exists("raw/aa/one"),
        lambda: backend.local_path("raw/aa/one"),
        lambda: list(backend.list("raw/")),
        lambda: backend.touch("raw/aa/one"),
        lambda: backend.delete("raw/aa/one"),
        lambda: backend.sweep_drafts(0),
    ]


@pytest.mark.parametrize(
    "call",
    ["open", "create", "write", "pread", "fsync", "link", "replace", "unlink", "mkdir", "utime",
     "scandir", "stat"],
)  # fmt: skip
def test_what_the_system_refuses_is_an_error_of_ours(tmp_path: Path, call: str) -> None:
    backend = LocalBackend(tmp_path)
    put_bytes(backend, "raw/aa/one", b"one")
    (tmp_path / "tmp" / "left").write_bytes(b"a draft of a dead writer")
    refused = 0
    for work in backend_work(backend):
        calls = FailingCalls(tmp_path, Kind(call, (call,), errno.EIO))
        with calls.installed():
            try:
                work()
            except UnavailableError as error:
                assert "Input/output error" in str(error)
                refused += 1
    assert refused
    assert list(tmp_path.glob("tmp/*")) == [] or call in ("unlink", "scandir", "open", "stat")


# Rounds at random


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_when_system_calls_fail_at_random(tmp_path: Path, seed: int) -> None:
    ordeal.failing_round(tmp_path / "store", seed)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_named_and_cost_nothing_else(tmp_path: Path, seed: int) -> None:
    ordeal.flipped_round(tmp_path / "store", seed)


@pytest.fixture(scope="module")
def lanes() -> Iterator[list[Victims]]:
    servers = [Victims("--warm") for _ in range(3)]
    yield servers
    for server in servers:
        server.close()


def test_families_survive_kills_while_they_are_read(tmp_path: Path, lanes: list[Victims]) -> None:
    for number in range(4):
        ordeal.kill_round(tmp_path / "store", number, lanes, number)


def test_families_survive_processes_whose_calls_fail(tmp_path: Path, lanes: list[Victims]) -> None:
    for seed in range(2):
        ordeal.concurrent_round(tmp_path / f"store-{seed}", seed, lanes, seconds=1.0)


@pytest.mark.parametrize("count", [1, 2])
def test_a_disk_that_fails_for_a_moment_makes_no_part_from_itself(
    tmp_path: Path, count: int
) -> None:
    """A part that could not be found is written once more, though others are made from it."""
    values = base_values()
    prepared = tmp_path / "prepared"
    kept = [keep(prepared, file_of(values)), keep(prepared, file_of(trained(values, 1)))]
    file = file_of(trained(values, 1), values)
    fired, first = 1, 0
    while fired:
        root = tmp_path / f"failing-{first}"
        shutil.copytree(prepared, root)
        store = open_local_store(root)
        digest = store.put_bytes(file).digest
        failing = FailingCalls(root, UNREADABLE, first, count, only=".pack")
        with failing.installed(), suppress(CairnError):
            store.optimize(digest, layout_of(file))
        fired, first = failing.fired, first + 1
        assert store.collect([*kept, digest].copy, 0).damaged == ()
        assert store.verify().bad == ()
        shutil.rmtree(root)
    assert first > 5, "the disk did not fail where it matters"
