"""Which files of which revisions a blob is."""

from cairn.catalog import Catalog, DeleteFile, Location
from tests.catalog.histories import blob, commit, model, new_repo, put, put_large


def test_a_blob_is_found_in_every_repo_that_holds_it(catalog: Catalog) -> None:
    one, other = new_repo(catalog, "ada/one"), new_repo(catalog, "bob/other")
    first = commit(catalog, one, put_large("weights/a.bin", b"shared"), put("x", b"x"))
    second = commit(catalog, other, put_large("model.bin", b"shared"))
    found = catalog.history.locations([blob(b"shared").digest])
    assert set(found[blob(b"shared").digest]) == {
        Location(model("ada/one"), first.id, "weights/a.bin"),
        Location(model("bob/other"), second.id, "model.bin"),
    }


def test_the_newest_revision_that_holds_it_is_named(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put_large("old.bin", b"old"), put_large("kept.bin", b"kept"))
    moved = commit(catalog, repo, put_large("new.bin", b"kept"))
    gone = commit(catalog, repo, put("z", b"z"), DeleteFile("kept.bin"))
    last = commit(catalog, repo, DeleteFile("old.bin"))
    found = catalog.history.locations([blob(b"old").digest, blob(b"kept").digest])
    assert found == {
        blob(b"old").digest: (Location(model(), gone.id, "old.bin"),),
        blob(b"kept").digest: (Location(model(), last.id, "new.bin"),),
    }
    assert moved.id != last.id


def test_a_blob_of_no_repo_has_no_location(catalog: Catalog) -> None:
    new_repo(catalog)
    assert catalog.history.locations([blob(b"?").digest]) == {blob(b"?").digest: ()}
