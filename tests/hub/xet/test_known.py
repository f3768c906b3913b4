"""The real client leaves out what the hub has in blobs it may read, and nothing else."""

import random
import uuid
from pathlib import Path

import pytest

from cairn.catalog import CardSummary
from cairn.domain import Digest
from cairn.hub.xet import known
from tests.hub.xet.conftest import XetHub
from tests.hub.xet.repos import commit, new_repo, sha256

RNG = random.Random(70)
SIZE = 6_000_000
CHANGED = 200_000
EDGES = 6 * 128 * 1024  # three changed places, each with a chunk at either end


def base_and_tuned() -> tuple[bytes, bytes]:
    """A model, and one that differs in the middle, near the end, and in its length."""
    base = RNG.randbytes(SIZE)
    tuned = bytearray(base)
    for at in (SIZE // 2, SIZE * 9 // 10):
        tuned[at : at + CHANGED] = RNG.randbytes(CHANGED)
    return base, bytes(tuned) + RNG.randbytes(CHANGED)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the client forget everything, as one on another machine."""

    def forget() -> None:
        monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / uuid.uuid4().hex))

    return forget


def published(hub: XetHub, data: bytes, **closed: object) -> str:
    """A repo of ann with a revision that holds `data`."""
    repo = new_repo(hub, "ann")
    hub.push(data, repo=repo)
    commit(hub, repo, data)
    hub.house.catalog.repos.update(hub.repo_id(repo), **closed)
    return repo


def sent(hub: XetHub, data: bytes, repo: str) -> int:
    """How many bytes a push took that left the repo with exactly this data."""
    (done,) = hub.push(data, repo=repo)
    assert hub.received(sha256(data), repo) == data
    return done.dedup_metrics.new_bytes


def test_a_fine_tune_in_another_repo_sends_only_what_changed(hub, elsewhere):
    base, tuned = base_and_tuned()
    published(hub, base, private=True)
    elsewhere()
    assert sent(hub, tuned, new_repo(hub, "ann")) < 3 * CHANGED + EDGES


def test_somebody_else_sends_only_what_changed_of_a_public_model(hub, elsewhere):
    base, tuned = base_and_tuned()
    published(hub, base)
    elsewhere()
    assert sent(hub, tuned, new_repo(hub, "bob")) < 3 * CHANGED + EDGES


@pytest.mark.parametrize("closed", [{"private": True}, {"gated": "manual"}])
def test_who_may_not_read_it_sends_everything(hub, elsewhere, closed):
    base, tuned = base_and_tuned()
    published(hub, base, **closed)
    elsewhere()
    assert sent(hub, tuned, new_repo(hub, "bob")) == len(tuned)
    assert sent(hub, tuned, new_repo(hub, "ann")) < 3 * CHANGED + EDGES


def test_what_is_in_no_revision_is_sent(hub, elsewhere):
    base, _ = base_and_tuned()
    hub.push(base, repo=new_repo(hub, "ann"))
    elsewhere()
    assert sent(hub, base, new_repo(hub, "ann")) == SIZE


def test_the_next_step_of_a_series_sends_only_what_changed_after_an_epoch(hub):
    base, tuned = base_and_tuned()
    repo = published(hub, base)
    hub.clock.ahead_s = hub.settings.xet_epoch_s
    assert sent(hub, tuned, repo) < 3 * CHANGED + EDGES


def test_a_fine_tune_of_a_fine_tune_builds_on_both(hub, elsewhere):
    base, tuned = base_and_tuned()
    published(hub, base)
    published(hub, tuned)
    again = tuned[:SIZE] + RNG.randbytes(CHANGED)
    elsewhere()
    assert sent(hub, again, new_repo(hub, "ann")) < CHANGED + EDGES


def changed_at_the_start(base: bytes) -> bytes:
    """Another header and first tensor: whether anything else is asked about is chance."""
    return RNG.randbytes(CHANGED) + base[CHANGED:]


def test_a_revision_that_begins_otherwise_builds_on_those_before(hub):
    base, _ = base_and_tuned()
    repo = published(hub, base)
    hub.clock.ahead_s = hub.settings.xet_epoch_s
    assert sent(hub, changed_at_the_start(base), repo) < CHANGED + EDGES


@pytest.mark.parametrize("closed", [{}, {"private": True}, {"gated": "manual"}])
def test_a_fine_tune_that_begins_otherwise_builds_on_the_base_its_card_names(
    hub, elsewhere, closed
):
    base, _ = base_and_tuned()
    origin = published(hub, base, **closed)
    for owner in ("ann", "bob"):
        repo, tuned = new_repo(hub, owner), changed_at_the_start(base)
        card = {"base_model": ["not a name", "no/where", origin]}
        hub.house.catalog.repos.set_card(hub.uid(repo), CardSummary("0" * 40, card=card))
        elsewhere()
        may_read = owner == "ann" or not closed
        assert (sent(hub, tuned, repo) < CHANGED + EDGES) is may_read


def test_answers_of_several_runs_and_blobs_are_understood(hub, elsewhere, monkeypatch):
    monkeypatch.setattr(known, "RUN_CHUNKS", 7)
    base, tuned = base_and_tuned()
    published(hub, base)
    published(hub, tuned)
    elsewhere()
    assert sent(hub, tuned, new_repo(hub, "ann")) == 0


def test_an_optimized_blob_serves_as_well(hub, elsewhere):
    base = bytes(RNG.choices(range(8), k=2_000_000))
    published(hub, base)
    digest = Digest.sha256(sha256(base))
    assert hub.house.store.optimize(digest, None).rewritten
    elsewhere()
    tuned = base[:1_000_000] + RNG.randbytes(CHANGED) + base[1_000_000:]
    assert sent(hub, tuned, new_repo(hub, "ann")) < CHANGED + EDGES


def test_a_damaged_blob_fails_one_upload_and_the_next_sends_everything(hub, elsewhere):
    base, tuned = base_and_tuned()
    published(hub, base)
    (raw,) = hub.settings.store_dir.glob(f"raw/*/{sha256(base)}")
    damaged = bytearray(base)
    damaged[100_000] ^= 1
    raw.write_bytes(damaged)
    elsewhere()
    repo = new_repo(hub, "ann")
    with pytest.raises(RuntimeError, match="is not what it was"):
        hub.push(tuned, repo=repo)
    assert hub.received(sha256(tuned), repo) is None
    assert sent(hub, tuned, repo) == len(tuned)


def test_damage_that_blobs_share_fails_no_second_upload(hub, elsewhere):
    base = bytes(RNG.choices(range(8), k=4_500_000))  # a part of 4 MiB and some
    variants = [base + bytes([i]) * 300_000 for i in range(3)]
    for data in variants:
        published(hub, data)
        assert hub.house.store.optimize(Digest.sha256(sha256(data)), None).rewritten
    packs = sorted(hub.settings.store_dir.glob("packs/*.pack"), key=lambda p: p.stat().st_mtime)
    shared = packs[-3]  # the first variant's: the others hold its parts by reference
    damaged = bytearray(shared.read_bytes())
    damaged[len(damaged) // 4] ^= 1
    shared.write_bytes(damaged)
    elsewhere()
    repo, tuned = new_repo(hub, "ann"), base + RNG.randbytes(400_000)
    with pytest.raises(RuntimeError, match="is damaged"):
        hub.push(tuned, repo=repo)
    assert sent(hub, tuned, repo) == len(tuned)


def test_when_the_blob_was_lost_everything_is_sent(hub, elsewhere):
    base, tuned = base_and_tuned()
    published(hub, base)
    (raw,) = hub.settings.store_dir.glob(f"raw/*/{sha256(base)}")
    raw.unlink()
    elsewhere()
    assert sent(hub, tuned, new_repo(hub, "ann")) == len(tuned)
