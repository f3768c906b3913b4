"""Passes over what waits: their order, their end, and where the next one goes on."""

import os
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.store import Optimized
from cairn.workflows.folder_store import FolderStore, open_folder
from cairn.workflows.optimize import optimize_pending, waiting
from cairn.workflows.pace import Budget, Ending, Pace
from cairn.workflows.tally import Tally
from tests.store.making import checkpoint, safetensors, weights

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return open_folder(tmp_path / "store", create=True)


def put(folder: FolderStore, root: Path, seed: int, age_s: int) -> Digest:
    """A checkpoint that landed some time ago."""
    digest = folder.store.put_bytes(checkpoint([seed])).digest
    path = folder.store.local_path(digest)
    assert path is not None
    landed = 1_700_000_000 - age_s
    os.utime(path, (landed, landed))
    return digest


def optimize(folder: FolderStore, pace: Pace | None = None) -> list[Optimized]:
    return list(optimize_pending(folder, pytest.fail, pace=pace))


def test_what_landed_first_is_optimized_first(folder: FolderStore, tmp_path: Path) -> None:
    ages = [30, 10, 50, 20, 40]
    landed = {age: put(folder, tmp_path, age, age) for age in ages}
    expected = [landed[age] for age in sorted(ages, reverse=True)]
    assert [blob.digest for blob in waiting(folder)] == expected
    assert [done.blob.digest for done in optimize(folder)] == expected
    assert waiting(folder) == []


def test_a_budget_of_bytes_ends_after_the_blob_that_uses_it_up(
    folder: FolderStore, tmp_path: Path
) -> None:
    for seed in range(4):
        put(folder, tmp_path, seed, seed)
    size = waiting(folder)[0].size_bytes
    pace = Pace(Budget(max_bytes=size + 1))
    assert len(optimize(folder, pace)) == 2
    assert pace.ending is Ending.BYTES
    assert len(waiting(folder)) == 2


def test_a_run_that_ends_in_the_middle_of_a_blob_leaves_its_parts_to_the_next(
    folder: FolderStore, tmp_path: Path
) -> None:
    file = safetensors({f"layer.{n}": ("F32", weights(n, MIB)) for n in range(5)})
    blob = folder.store.put_bytes(file)
    began: list[Digest] = []
    seen: list[int] = []

    def in_the_middle(seconds: float) -> bool:
        return sum(seen) > 13 * MIB

    pace = Pace(wait=in_the_middle)
    done = optimize_pending(
        folder, pytest.fail, seen.append, pace=pace, begins=lambda b: began.append(b.digest)
    )
    assert list(done) == [] and pace.ending is Ending.STOPPED
    assert began == [blob.digest] == [b.digest for b in waiting(folder)]
    kept = folder.store.stats()
    assert kept.raw_blobs == 1 and kept.parts >= 2
    rest, = optimize(folder)  # fmt: skip
    assert rest.rewritten and rest.stored_after < 0.7 * len(file)
    assert folder.store.read_bytes(blob.digest, len(file)) == file
    assert folder.store.stats().parts > kept.parts
    assert folder.store.verify().bad == ()


def test_what_somebody_else_rewrote_meanwhile_is_not_counted(
    folder: FolderStore, tmp_path: Path
) -> None:
    for seed in range(2):
        put(folder, tmp_path, seed, -seed)
    tally = Tally()
    for number, done in enumerate(optimize_pending(folder, pytest.fail)):
        tally.add(done)
        if number == 0:
            optimize(folder)  # the second
    assert tally.blobs == 1 and 0 < tally.saved_bytes < tally.plain_bytes
