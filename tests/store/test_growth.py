"""What an optimize costs does not grow with the store, or hardly: see benchmarks/growth.py."""

import os
from pathlib import Path

import pytest

from cairn.store import open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.locks import Locks
from tests.store.making import checkpoint, optimized


class Counting(LocalBackend):
    """A backend that counts its listings."""

    lists = 0

    def list(self, prefix: str):  # type: ignore[no-untyped-def]  # as the backend's
        type(self).lists += 1
        return super().list(prefix)


def test_a_second_optimize_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.store.blobs.LocalBackend", Counting)
    store = open_local_store(tmp_path)
    optimized(store, checkpoint([1, 2]))
    Counting.lists = 0
    optimized(store, checkpoint([3, 4]))
    optimized(store, checkpoint([5, 6]))
    assert Counting.lists == 0
    optimized(open_local_store(tmp_path), checkpoint([7, 8]))
    assert Counting.lists > 0


def test_what_another_process_rewrote_is_found_by_the_next_optimize(tmp_path: Path) -> None:
    here, there = open_local_store(tmp_path), open_local_store(tmp_path)
    optimized(here, checkpoint([1, 2]))
    optimized(there, checkpoint([3, 4]))
    before = here.stats().stored_bytes
    optimized(here, checkpoint([3, 4, 1]))
    assert here.stats().stored_bytes - before < 10_000  # tensors of 120,000 bytes each


def test_a_pack_that_gc_condemned_meanwhile_is_not_built_upon(tmp_path: Path) -> None:
    here, there = open_local_store(tmp_path), open_local_store(tmp_path)
    gone = optimized(here, checkpoint([1, 2]))
    kept = optimized(here, checkpoint([9]))
    path = next(tmp_path.glob(f"recipes/*/{gone.hex}"))
    os.utime(path, (0, 0))
    assert there.collect(lambda: [kept], 0).packs_condemned == 1
    new = optimized(here, checkpoint([2, 1]))
    for pack in tmp_path.glob("packs/*.dead"):
        os.utime(pack, (0, 0))
    there.collect(lambda: [kept, new], 0)
    assert not here.verify().bad


def test_turns_at_maintenance_are_counted_across_processes(tmp_path: Path) -> None:
    one, other = Locks(tmp_path), Locks(tmp_path)
    turns = []
    for locks in (one, other, one):
        with locks.maintenance() as turn:
            turns.append(turn)
    assert turns == [1, 2, 3]
