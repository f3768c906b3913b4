"""What was acknowledged is in the log once, in order, and a reader can have it proved."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from cairn.bootstrap import open_house
from cairn.catalog import PutFile, gitobjects
from cairn.config import Settings
from cairn.domain import ANONYMOUS, Actor, Blob, Digest, LogEvent, RepoId, RepoType, Revision
from cairn.errors import EntryNotFoundError, IntegrityError, RepoNotFoundError
from cairn.provenance.log import (
    Hidden,
    LogProof,
    Tile,
    TreeHead,
    decode,
    entry_tiles,
    hash_tiles,
    leaf_hashes,
    manifest_digest,
    open_note,
    unpack_entries,
)
from cairn.workflows.house import House
from cairn.workflows.transparency import UNREADABLE, prove, settle, signed_head, tile_content
from tests.provenance.log_trees import defined_root

MODEL = RepoId(RepoType.MODEL, "ann", "m")


def opened(folder: Path, **settings: object) -> House:
    return open_house(Settings(data_dir=folder, **settings))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = opened(tmp_path / "data")
    house.catalog.accounts.create_user("ann")
    yield house
    house.catalog.close()


def push(house: House, name: str, repo_id: RepoId = MODEL) -> Revision:
    data = name.encode()
    blob = Blob(Digest.sha256(hashlib.sha256(data).hexdigest()), len(data))
    return house.catalog.history.commit(
        house.catalog.repos.get(repo_id).uid,
        "refs/heads/main",
        [PutFile.regular(name, blob, gitobjects.blob_oid_of(data))],
        expected_parent=None,
        author=house.catalog.accounts.get("ann"),
        title=name,
        when=house.clock(),
    )


def head_of(house: House) -> TreeHead:
    return TreeHead.parse(open_note(signed_head(house), [house.signatory.public_key]))


def entries_of(house: House) -> list[bytes]:
    tiles = entry_tiles(head_of(house).size)
    return [e for tile in tiles for e in unpack_entries(tile_content(house, tile))]


def events_of(house: House) -> list[LogEvent | Hidden]:
    return [decode(entry) for entry in entries_of(house)]


def test_the_signed_head_has_what_was_acknowledged_before(house: House) -> None:
    assert head_of(house).size == 0
    house.catalog.repos.create(MODEL, private=False)
    made = [push(house, name) for name in "abc"]
    entries = entries_of(house)
    assert head_of(house).root == defined_root(entries)
    assert [decode(entry).new for entry in entries] == [revision.id for revision in made]
    manifest = house.catalog.history.manifest(made[2].tree)
    assert decode(entries[2]).details == {"manifest": manifest_digest(manifest.entries.values())}


def test_more_than_a_tile_of_entries_is_served_in_tiles_that_fit_each_other(house: House) -> None:
    house.catalog.repos.create(MODEL, private=False)
    head = push(house, "a")
    uid = house.catalog.repos.get(MODEL).uid
    for number in range(300):
        house.catalog.history.create_ref(uid, f"refs/tags/v{number}", head.id)
    size = head_of(house).size
    assert size == 301
    bundles = {t.number: unpack_entries(tile_content(house, t)) for t in entry_tiles(size)}
    for tile in hash_tiles(size):
        if tile.level == 0:
            assert tile_content(house, tile) == leaf_hashes(bundles[tile.number])
    assert head_of(house).root == defined_root(bundles[0] + bundles[1])


@pytest.mark.parametrize("tile", [Tile(0, 0, 2), Tile(None, 0, 2), Tile(1, 0, 1), Tile(0, 7)])
def test_a_tile_beyond_the_end_is_not_found(house: House, tile: Tile) -> None:
    house.catalog.repos.create(MODEL, private=False)
    push(house, "a")
    settle(house)
    with pytest.raises(EntryNotFoundError, match="not as long"):
        tile_content(house, tile)


def test_a_private_repo_is_not_told_of_and_its_readers_can_prove_what_is_hidden(
    house: House,
) -> None:
    house.catalog.repos.create(MODEL, private=True)
    revision = push(house, "secret-name")
    ann = Actor(house.catalog.accounts.get("ann"))
    (entry,) = entries_of(house)
    assert isinstance(decode(entry), Hidden)
    for told in ("ann", "secret", revision.id, "main", "ref"):
        assert told.encode() not in entry
    event = prove(house, ann, MODEL, None).check([house.signatory.public_key])
    assert isinstance(event, LogEvent)
    assert (event.repo, event.new, event.actor) == (MODEL, revision.id, "ann")
    with pytest.raises(RepoNotFoundError):
        prove(house, ANONYMOUS, MODEL, None)


def test_a_proof_holds_after_the_log_has_grown_and_the_repo_is_gone(house: House) -> None:
    house.catalog.repos.create(MODEL, private=False)
    first = push(house, "a")
    content = prove(house, ANONYMOUS, MODEL, first.id).serialise()
    push(house, "b")
    house.catalog.repos.delete(MODEL)
    assert [event.kind.value for event in events_of(house)] == ["ref", "ref", "repo.delete"]
    event = LogProof.parse(content).check([house.signatory.public_key])
    assert event.new == first.id


def test_a_revision_that_no_ref_was_at_has_no_proof(house: House) -> None:
    house.catalog.repos.create(MODEL, private=False)
    first = push(house, "a")
    push(house, "b")
    with house.catalog.database.write() as connection:  # as if it had come with an import
        connection.execute(text("DELETE FROM log_waiting WHERE id = 1"))
    with pytest.raises(EntryNotFoundError, match="no entry in the log"):
        prove(house, ANONYMOUS, MODEL, first.id)


def test_a_hub_that_had_no_log_yet_finds_its_refs_when_it_starts(house: House) -> None:
    house.catalog.repos.create(MODEL, private=False)
    head = push(house, "a")
    with house.catalog.database.write() as connection:
        connection.execute(text("DELETE FROM log_waiting"))
    house.catalog.logbook.note_unlogged_refs()
    (event,) = events_of(house)
    assert (event.kind.value, event.new, event.actor) == ("ref.found", head.id, "system")
    assert prove(house, ANONYMOUS, MODEL, None).index == 0


def test_a_damaged_tree_is_said_to_be_unreadable_and_keeps_nobody_out(
    house: House, tmp_path: Path
) -> None:
    house.catalog.repos.create(MODEL, private=False)
    push(house, "a")
    with house.catalog.database.write() as connection:
        connection.execute(text("UPDATE trees SET payload = x'0000000000'"))
    again = opened(tmp_path / "data")  # with no tree in memory
    assert [event.details["manifest"] for event in events_of(again)] == [UNREADABLE]
    again.catalog.close()


def test_many_threads_settle_at_once_and_nothing_is_doubled(house: House) -> None:
    house.catalog.repos.create(MODEL, private=False)
    made = [push(house, f"{n}").id for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: settle(house), range(6))) == {12}
    assert [event.new for event in events_of(house)] == made


SETTLE = """
import sys
from pathlib import Path
from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.workflows.transparency import signed_head
house = open_house(Settings(data_dir=Path(sys.argv[1])))
print("ready", flush=True)
while True:
    signed_head(house)
"""


def test_processes_that_settle_and_are_killed_leave_a_log_that_verifies(
    house: House, tmp_path: Path
) -> None:
    house.catalog.repos.create(MODEL, private=False)
    made = []
    for round_ in range(2):
        command = [sys.executable, "-c", SETTLE, str(tmp_path / "data")]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        made += [push(house, f"{round_}-{n}").id for n in range(20)]
        for process in running:
            process.kill()
            process.communicate()
    assert [event.new for event in events_of(house)] == made
    assert head_of(house).root == defined_root(entries_of(house))


def test_a_database_put_back_from_a_backup_is_not_signed(tmp_path: Path) -> None:
    house = opened(tmp_path / "data")
    house.catalog.accounts.create_user("ann")
    house.catalog.repos.create(MODEL, private=False)
    push(house, "a")
    signed_head(house)
    house.catalog.close()
    backup = (tmp_path / "data" / "cairn.db").read_bytes()
    house = opened(tmp_path / "data")
    push(house, "b")
    signed_head(house)
    house.catalog.close()
    (tmp_path / "data" / "cairn.db").write_bytes(backup)
    house = opened(tmp_path / "data")
    with pytest.raises(IntegrityError, match=r"had 2 entries and now has 1.*backup"):
        signed_head(house)
    push(house, "c")
    with pytest.raises(IntegrityError, match=r"rewritten.*backup"):
        signed_head(house)
    house.catalog.close()


def test_a_log_is_called_after_the_hubs_address(tmp_path: Path) -> None:
    named = opened(tmp_path / "data", public_url="https://hub.example/models/")
    assert named.signatory.public_key.name == "hub.example/models/api/cairn/log"
    assert opened(tmp_path / "data").signatory.public_key == named.signatory.public_key
