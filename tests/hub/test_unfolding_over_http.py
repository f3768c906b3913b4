"""Small files that unfold to enormous values: what the hub answers stays small and says so."""

import pytest
import torch

from cairn.formats import values
from cairn.workflows import readable
from cairn.workflows.stored_health import measure_pending
from tests.formats.making import saved

BUDGET = 8 << 20
COUNT = 100  # below what a page compares at all


@pytest.fixture
def bytes_read(monkeypatch) -> list[int]:
    """The sizes of all blocks of values that were computed, with a budget as for small files."""
    sizes: list[int] = []
    real = values.blocks

    def counted(*args, **kwargs):
        for block in real(*args, **kwargs):
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(values, "blocks", counted)
    monkeypatch.setattr(readable, "MIN_VALUE_BYTES", BUDGET)
    monkeypatch.setattr(readable, "MAX_VALUE_RATIO", 1)
    return sizes


@pytest.fixture
def bombs(repo) -> tuple[str, str]:
    """Two revisions, each with one stored number that 100 tensors of 1 MiB show."""
    commits = []
    for number in (1.0, 2.0):
        one = torch.full((1,), number)
        content = saved({f"w{n}": one.expand(512, 512) for n in range(COUNT)})
        oid = repo.put_large(content)
        commits.append(repo.commit(repo.large("pytorch_model.bin", oid)).json()["commitOid"])
    return commits[0], commits[1]


def test_health_of_a_bomb_is_measured_as_far_as_its_bytes_allow(repo, hub, bombs, bytes_read):
    assert list(measure_pending(hub.house, lambda: True))
    assert sum(bytes_read) <= 2 * BUDGET
    told = repo.client.get(f"/api/cairn/models/ann/m/health/{bombs[1]}").json()
    measured = [one for one in told["tensors"] if one["statistics"] is not None]
    assert len(measured) <= BUDGET >> 20
    assert "far more bytes" in told["tensors"][-1]["not_read"]


def test_two_bombs_are_compared_as_far_as_their_bytes_allow(repo, bombs, bytes_read):
    told = repo.client.get(f"/api/cairn/models/ann/m/compare/{bombs[0]}...{bombs[1]}")
    assert told.status_code == 200
    assert 0 < sum(bytes_read) <= 3 * BUDGET
