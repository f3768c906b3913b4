"""What a hub keeps to be read fast: newest revisions within a budget, without swinging."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.bootstrap import open_house, profiles_of
from cairn.catalog import PutFile
from cairn.config import Settings
from cairn.domain import Account, Blob, RepoId, RepoType
from cairn.errors import NotFoundError
from cairn.workflows.heat import Change, Heat
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.remake import remake_blob

ANN = Account("ann", "Ann")
COUNT = 40_000
SIZE = len(save({"w": np.zeros(COUNT, np.float32)}))
PROFILES = profiles_of(Settings())


class Hub:
    """A house whose worker's steps are taken by hand, at a time that stands still."""

    def __init__(self, folder: Path) -> None:
        self.house = open_house(Settings(data_dir=folder))
        self.house.catalog.accounts.create_user("ann", full_name="Ann")
        self.now_s = 0.0
        self.files: dict[Blob, bytes] = {}

    def heat(self, files: float, stay_s: float = 0.0) -> Heat:
        """The policy with room for so many files, at a time after all marks."""
        clock = lambda: datetime.now(UTC).timestamp() + 1 + self.now_s  # noqa: E731
        return Heat(self.house, int(files * SIZE), stay_s, clock)

    def push(self, name: str, weights: np.ndarray, path: str = "model.safetensors") -> Blob:
        repo = RepoId(RepoType.MODEL, "ann", name)
        try:
            record = self.house.catalog.repos.get(repo)
        except NotFoundError:
            record = self.house.catalog.repos.create(repo, private=True)
        data = save({"w": weights})
        blob = self.house.store.put_bytes(data)
        self.files[blob] = data
        self.house.catalog.history.commit(
            record.uid, "refs/heads/main", [PutFile(path, blob, blob.digest.hex[:40])],
            expected_parent=None, author=ANN, title="push", when=datetime.now(UTC),
        )  # fmt: skip
        return blob

    def land(self, heat: Heat) -> None:
        """Rewrite what landed."""
        chosen = lambda digest: PROFILES[heat.profile_for(digest)]  # noqa: E731
        for _ in optimize_pending(self.house, pytest.fail, profile=chosen):
            pass

    def settle(self, heat: Heat) -> list[Change]:
        """Take steps until there are none; they are few."""
        changes = []
        while (change := heat.next_change()) is not None:
            remake_blob(self.house, change.blob.digest, PROFILES[change.profile])
            changes.append(change)
            assert len(changes) < 20
        return changes

    def fast(self) -> set[Blob]:
        return {self.house.store.blob(digest) for digest in self.house.store.kept_fast()}

    def check(self) -> None:
        for blob, data in self.files.items():
            assert self.house.store.read_bytes(blob.digest, 1 << 20) == data


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, COUNT).astype(np.float32)


def trained(values: np.ndarray, seed: int) -> np.ndarray:
    return (values + np.random.default_rng(100 + seed).normal(0, 1e-4, COUNT)).astype(np.float32)


def test_what_lands_as_the_newest_is_kept_fast_and_small_when_it_is_no_longer(hub: Hub) -> None:
    heat, values, blobs = hub.heat(10), weights(1), []
    for step in range(4):
        blobs.append(hub.push("run", values))
        values = trained(values, step)
        hub.land(heat)
        changes = hub.settle(heat)
        assert hub.fast() == {blobs[-1]}
        assert changes == [Change(blob, "small") for blob in blobs[-2:-1]]
    hub.house.store.collect(hub.house.catalog.history.live_digests, 0)
    depths = hub.house.store.take_stock().by_depth()
    assert {depth: share.parts for depth, share in depths.items() if depth} == {1: 2, 2: 1}
    hub.check()


def test_a_file_that_was_kept_small_becomes_fast_with_its_repo(hub: Hub) -> None:
    values = weights(1)
    old, new = hub.push("old", values), hub.push("new", trained(values, 1))
    hub.land(hub.heat(0))
    assert hub.fast() == set()
    heat = hub.heat(1.5)
    assert hub.settle(heat) == [Change(new, "fast")]  # the repo that was changed last
    hub.house.catalog.repos.count_download(RepoId(RepoType.MODEL, "ann", "old"), 5)
    hub.house.catalog.repos.flush_downloads()
    assert hub.settle(heat) == [Change(new, "small"), Change(old, "fast")]
    hub.check()


def test_what_is_kept_fast_never_exceeds_the_budget(hub: Hub) -> None:
    for number in range(5):
        hub.push(f"repo-{number}", weights(number))
    heat = hub.heat(3.2)
    hub.land(heat)
    hub.settle(heat)
    assert len(hub.fast()) == 2  # a third fits, but into all of the budget only
    assert hub.heat(1).survey().has_room_for(next(iter(hub.fast())).digest) is False
    assert [change.profile for change in hub.settle(hub.heat(1))] == ["small"]


def test_what_others_pushed_past_stays_for_a_while(hub: Hub) -> None:
    heat, values = hub.heat(10, stay_s=3600), weights(1)
    pushed = []
    for step in range(2):
        pushed.append(hub.push("run", values))
        values = trained(values, step)
        hub.land(heat)
        assert hub.settle(heat) == []
    assert hub.fast() == set(pushed)
    hub.now_s = 3700
    assert hub.settle(heat) == [Change(pushed[0], "small")]


def test_a_little_more_or_less_downloads_change_nothing(hub: Hub) -> None:
    """Two files compete for the last place; the one that has it needs less room to keep it."""
    names = ["one", "two"]
    blobs = [hub.push(name, weights(number)) for number, name in enumerate(names)]
    hub.land(hub.heat(0))
    heat = hub.heat(1.1)
    for name in names:
        hub.house.catalog.repos.count_download(RepoId(RepoType.MODEL, "ann", name), 5)
        hub.house.catalog.repos.flush_downloads()
    assert hub.settle(heat) == []  # neither fits into four fifths
    remake_blob(hub.house, blobs[0].digest, PROFILES["fast"])
    for name in names:
        hub.house.catalog.repos.count_download(RepoId(RepoType.MODEL, "ann", name), 3)
        hub.house.catalog.repos.flush_downloads()
        assert hub.settle(heat) == []
    assert hub.fast() == {blobs[0]}


def test_a_damaged_file_is_not_tried_again_and_again(hub: Hub, tmp_path: Path) -> None:
    blob = hub.push("run", weights(1))
    hub.land(hub.heat(0))
    (tmp_path / f"store/damaged/{blob.digest.hex[:2]}").mkdir(parents=True)
    (tmp_path / f"store/damaged/{blob.digest.hex[:2]}/{blob.digest.hex}").touch()
    assert hub.heat(10).next_change() is None


def test_without_a_budget_nothing_is_changed(hub: Hub) -> None:
    blob = hub.push("run", weights(1))
    hub.land(hub.heat(0))
    remake_blob(hub.house, blob.digest, PROFILES["fast"])
    hub.push("run", weights(2))
    assert hub.heat(0).next_change() is None
    assert hub.fast() == {blob}
