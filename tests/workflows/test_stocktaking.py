"""Who needs which bytes of a hub's store: counted by repo and by the families that cards name."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.catalog import PutFile
from cairn.catalog.gitobjects import blob_oid
from cairn.config import Settings
from cairn.domain import Account, RepoId, RepoType
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.stocktaking import take_stock
from tests.cli.command import cairn

ANN = Account("ann", "Ann")
COUNT = 300_000
BASE = np.random.default_rng(1).normal(0, 0.02, COUNT).astype(np.float32)
STEP = np.random.default_rng(2).normal(0, 1e-5, COUNT).astype(np.float32)
OTHER = np.random.default_rng(3).normal(0, 0.02, COUNT).astype(np.float32)


def push(house: House, name: str, weights: np.ndarray, base_model: str | None = None) -> None:
    record = house.catalog.repos.create(RepoId(RepoType.MODEL, "ann", name), private=True)
    card = f"---\nbase_model: {base_model}\n---\n" if base_model else "# A model\n"
    files = {"model.safetensors": save({"w": weights}), "README.md": card.encode()}
    changes = []
    for path, data in files.items():
        oid = blob_oid(len(data))
        oid.update(data)
        changes.append(PutFile(path, house.store.put_bytes(data), oid.hexdigest()))
    house.catalog.history.commit(
        record.uid, "refs/heads/main", changes, expected_parent=None, author=ANN, title="push",
        when=datetime.now(UTC),
    )  # fmt: skip
    assert all(done.rewritten for done in optimize_pending(house, lambda error: None))
    sync_card(house, house.catalog.repos.get(record.id))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A base, a fine-tune of it, a copy of it that names an absent base, another model."""
    opened = open_house(Settings(data_dir=tmp_path / "data"))
    opened.catalog.accounts.create_user("ann", full_name="Ann")
    push(opened, "base", BASE)
    push(opened, "tuned", BASE + STEP, "Ann/Base")
    push(opened, "copy", BASE, "far/away")
    push(opened, "other", OTHER)
    opened.store.put_bytes(b"wanted by none")
    return opened


def test_a_fine_tune_takes_its_base_and_owns_only_what_it_changed(house: House) -> None:
    found = take_stock(house)
    tuned, other = found.groups["ann/tuned"], found.groups["ann/other"]
    assert tuned.own_bytes < 0.7 * other.own_bytes
    assert tuned.stored_bytes > other.stored_bytes  # it is read through its base
    assert other.stored_bytes == pytest.approx(other.own_bytes, abs=1000)  # cards are equal


def test_equal_files_are_logical_and_unique_once(house: House) -> None:
    found = take_stock(house)
    assert found.totals.logical_bytes >= found.unique_bytes >= 3 * BASE.nbytes
    assert found.unique_bytes < 3 * BASE.nbytes + 10_000
    assert found.groups["ann/copy"].logical_bytes == pytest.approx(BASE.nbytes, rel=0.01)


def test_cards_connect_repos_to_families_in_any_case_and_by_absent_bases(house: House) -> None:
    found = take_stock(house)
    assert set(found.families) == {"ann/base", "far/away", "ann/other"}
    assert found.families["ann/base"].logical_bytes == pytest.approx(2 * BASE.nbytes, rel=0.01)


def test_parts_are_counted_by_the_depth_of_their_chain(house: House) -> None:
    found = take_stock(house)
    assert set(found.by_depth) == {0, 1}
    assert found.by_depth[1].plain_bytes == BASE.nbytes
    assert found.by_depth[1].stored_bytes < found.by_depth[1].plain_bytes / 2
    assert found.derived_codecs == ("same",)


def test_a_chain_is_decoded_for_each_byte_that_is_read(house: House) -> None:
    found = take_stock(house)
    assert found.groups["ann/base"].amplification == 1
    assert found.groups["ann/tuned"].amplification == pytest.approx(2, rel=0.01)
    assert found.decoded_bytes - found.unique_bytes == BASE.nbytes
    assert found.fast_blobs == 0


def test_what_no_repo_holds_is_said(house: House) -> None:
    assert take_stock(house).unclaimed.logical_bytes == len(b"wanted by none")


def test_progress_adds_up_to_what_was_rewritten(house: House) -> None:
    seen: list[int] = []
    take_stock(house, seen.append)
    assert sum(seen) >= 3 * BASE.nbytes


def test_the_command_prints_json_a_table_and_a_picture(house: House, tmp_path: Path) -> None:
    house.catalog.close()
    data = tmp_path / "data"
    told = json.loads(cairn("store", "stats", "--json", data=data).stdout)
    assert told["by_codec"]["same"]["derived"]
    assert told["by_family"]["ann/base"]["blobs"] == 4
    drawing, pixels = tmp_path / "store.svg", tmp_path / "store.png"
    shown = cairn("store", "stats", "--plot", str(drawing), data=data).stdout
    assert re.search(r"ann/tuned +2 ", shown)
    assert "far/away" in drawing.read_text()
    cairn("store", "stats", "--plot", str(pixels), data=data)
    assert pixels.read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_another_kind_is_refused_before_counting(house: House, tmp_path: Path) -> None:
    refused = cairn("store", "stats", "--plot", "store.gif", data=tmp_path / "data", expect=2)
    assert ".svg or .png" in refused.stderr
