"""Everything that holds a blob: every repo, path, revision and ref."""

from cairn.catalog import Catalog, DeleteFile, Holding
from tests.catalog.histories import MAIN, blob, commit, model, new_repo, put, put_large

BAD = b"bad"


def test_every_revision_and_path_is_listed_with_the_refs_that_are_there(catalog: Catalog) -> None:
    one, other = new_repo(catalog, "ada/one"), new_repo(catalog, "bob/other", private=True)
    first = commit(catalog, one, put_large("a/b/x.bin", BAD), put("y", b"y"))
    second = commit(catalog, one, put("z", b"z"), put_large("copy.bin", BAD))
    third = commit(catalog, one, DeleteFile("a/b/x.bin"))
    catalog.history.create_ref(one.uid, "refs/tags/v1", first.id)
    commit(catalog, one, DeleteFile("copy.bin"))
    only = commit(catalog, other, put_large("x.bin", BAD))
    digest, missing = blob(BAD).digest, blob(b"?").digest
    assert catalog.holdings.of([digest, missing]) == {
        digest: (
            Holding(model("ada/one"), "a/b/x.bin", (second.id, first.id), ("refs/tags/v1",)),
            Holding(model("ada/one"), "copy.bin", (third.id, second.id), ()),
            Holding(model("bob/other"), "x.bin", (only.id,), (MAIN,)),
        ),
        missing: (),
    }


def test_directories_that_many_revisions_share_are_read_once(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put_large("deep/er/x.bin", BAD))
    for number in range(5):
        commit(catalog, repo, put(f"{number}", b"n"))
    loaded: list[bytes] = []
    trees = catalog.holdings._trees
    load = trees.load

    def counting(key: bytes, connection=None):
        loaded.append(key)
        return load(key, connection)

    trees.load = counting
    try:
        (held,) = catalog.holdings.of([blob(BAD).digest])[blob(BAD).digest]
    finally:
        trees.load = load
    assert len(held.revisions) == 6 and len(loaded) == 6 + 2
