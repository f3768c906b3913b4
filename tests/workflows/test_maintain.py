"""Verify looks at what revisions need, not only at what the store says it has."""

from pathlib import Path

from cairn.workflows.house import House
from cairn.workflows.maintain import verify_store
from tests.workflows.test_inspect_repo import house

__all__ = ["house"]


def test_a_blob_that_a_revision_needs_and_nobody_has_is_lost(house: House, tmp_path: Path) -> None:
    wanted = next(iter(house.catalog.history.live_digests()))
    assert verify_store(house).bad == ()
    for path in (tmp_path / "data" / "store").rglob(wanted.hex):
        path.unlink()
    ((digest, reason),) = verify_store(house).bad
    assert digest == wanted
    assert "does not have it" in reason
