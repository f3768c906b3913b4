"""Verify looks at what revisions need, not only at what the store says it has."""

from pathlib import Path

from cairn.workflows.damage import located
from cairn.workflows.house import House
from cairn.workflows.maintain import verify_store
from tests.workflows.test_inspect_repo import REPO, house

__all__ = ["house"]


def test_a_blob_that_a_revision_needs_and_nobody_has_is_lost(house: House, tmp_path: Path) -> None:
    wanted = next(iter(house.catalog.history.live_digests()))
    assert verify_store(house).bad == ()
    for path in (tmp_path / "data" / "store").rglob(wanted.hex):
        path.unlink()
    ((digest, reason),) = verify_store(house).bad
    assert digest == wanted
    assert "does not have it" in reason


def test_damage_is_told_with_repo_revision_and_path(house: House, tmp_path: Path) -> None:
    raws = (tmp_path / "data" / "store" / "raw").rglob("*")
    largest = max((path for path in raws if path.is_file()), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"\0" + largest.read_bytes()[1:])
    (damage,) = located(house, verify_store(house).bad)
    head = house.catalog.repos.get(REPO).head
    assert [(p.repo, p.revision, p.path) for p in damage.locations] == [
        (REPO, head, "model.safetensors")
    ]
    assert "reads back as" in damage.reason
