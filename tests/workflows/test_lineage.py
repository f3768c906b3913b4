"""What a blob was probably made from, by its path, its card and its neighbours."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cairn.bootstrap import open_house
from cairn.catalog import PutFile
from cairn.catalog.gitobjects import blob_oid
from cairn.config import Settings
from cairn.domain import Account, Digest, RepoId, RepoType
from cairn.errors import RepoNotFoundError
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.lineage import MAX_LIKELY, likely_bases
from cairn.workflows.optimize import optimize_pending
from tests.store.making import safetensors

ANN = Account("ann", "Ann")


@pytest.fixture
def house(tmp_path: Path) -> House:
    opened = open_house(Settings(data_dir=tmp_path / "data"))
    opened.catalog.accounts.create_user("ann", full_name="Ann")
    return opened


def push(
    house: House, name: str, files: dict[str, bytes], base_model: str | None = None
) -> dict[str, Digest]:
    """Commit files to a repo, which is made if it is not there; their digests."""
    repo = RepoId(RepoType.MODEL, "ann", name)
    try:
        record = house.catalog.repos.get(repo)
    except RepoNotFoundError:
        record = house.catalog.repos.create(repo, private=True)
    if base_model is not None:
        files = files | {"README.md": f"---\nbase_model: {base_model}\n---\n".encode()}
    changes = []
    for path, data in files.items():
        oid = blob_oid(len(data))
        oid.update(data)
        changes.append(PutFile(path, house.store.put_bytes(data), oid.hexdigest()))
    house.catalog.history.commit(
        record.uid, "refs/heads/main", changes, expected_parent=None, author=ANN, title="push",
        when=datetime.now(UTC),
    )  # fmt: skip
    sync_card(house, house.catalog.repos.get(repo))
    return {change.path: change.blob.digest for change in changes}


def test_what_the_path_held_before_comes_first_then_the_base_model_then_the_neighbours(
    house: House,
) -> None:
    base = push(house, "base", {"b.safetensors": b"base b", "a.safetensors": b"base a"})
    old = push(house, "tuned", {"b.safetensors": b"old b", "notes.txt": b"text"}, "Ann/Base")
    near = push(house, "tuned", {"c.safetensors": b"c", "step/b.safetensors": b"step"})
    new = push(house, "tuned", {"b.safetensors": b"new b"})
    assert likely_bases(house, new["b.safetensors"]) == [
        old["b.safetensors"],
        base["b.safetensors"],
        base["a.safetensors"],
        near["step/b.safetensors"],
        near["c.safetensors"],
    ]


def test_a_path_that_was_not_touched_since_is_compared_with_what_it_held_before(
    house: House,
) -> None:
    old = push(house, "m", {"w.bin": b"old"})
    new = push(house, "m", {"w.bin": b"new"})
    push(house, "m", {"x.txt": b"later"})
    assert likely_bases(house, new["w.bin"]) == [old["w.bin"]]


@pytest.mark.parametrize("base_model", ["far/away", "not a repo id", "ann/m"])
def test_base_models_that_are_not_here_are_passed_over(house: House, base_model: str) -> None:
    only = push(house, "m", {"w.bin": b"w"}, base_model)
    assert likely_bases(house, only["w.bin"]) == []


def test_blobs_of_no_repo_have_no_lineage_and_large_families_a_bounded_one(house: House) -> None:
    assert likely_bases(house, house.store.put_bytes(b"alone").digest) == []
    many = push(house, "m", {f"{n}.bin": bytes([n]) for n in range(40)})
    assert len(likely_bases(house, many["39.bin"])) == MAX_LIKELY


def test_optimizing_tries_the_tensors_that_lineage_names(house: House) -> None:
    codes = np.random.default_rng(0).integers(-(2**31), 2**31, 50_000).astype("<i4")
    base = safetensors({"w": ("I32", codes.tobytes())})  # a type that has no sketches
    codes[::50] ^= 16
    push(house, "base", {"model.safetensors": base})
    tuned = {"model.safetensors": safetensors({"w": ("I32", codes.tobytes())})}
    push(house, "tuned", tuned, "ann/base")
    assert all(done.rewritten for done in optimize_pending(house, pytest.fail))
    assert house.store.stats().stored_bytes < 1.15 * len(base)
    assert house.store.verify().bad == ()
