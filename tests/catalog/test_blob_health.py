"""What was measured of blobs: due once, found by content, measured again in a newer form."""

from cairn.catalog import Catalog
from tests.catalog.histories import blob, commit, new_repo, put


def test_a_blob_is_due_once_and_the_smallest_first(catalog: Catalog) -> None:
    for name in ("a/one", "a/two"):
        repo = new_repo(catalog, name)
        commit(catalog, repo, put("x", b"same"), put("y", b"longer than that"))
    due = catalog.blob_health.due(1, 10)
    assert due == [blob(b"same"), blob(b"longer than that")]
    assert catalog.blob_health.due(1, 1) == due[:1]
    catalog.blob_health.put(due[0].digest, 1, "{}")
    assert catalog.blob_health.due(1, 10) == due[1:]


def test_what_was_measured_is_found_by_digest(catalog: Catalog) -> None:
    first, second = blob(b"first").digest, blob(b"second").digest
    catalog.blob_health.put(first, 1, '{"ü": 1}')
    assert catalog.blob_health.get([first, second], 1) == {first: '{"ü": 1}'}
    assert catalog.blob_health.get([], 1) == {}


def test_a_newer_form_makes_blobs_due_again_and_replaces_the_older(catalog: Catalog) -> None:
    repo = new_repo(catalog, "a/one")
    commit(catalog, repo, put("x", b"bytes"))
    digest = blob(b"bytes").digest
    catalog.blob_health.put(digest, 1, "old")
    assert [found.digest for found in catalog.blob_health.due(2, 10)] == [digest]
    assert catalog.blob_health.get([digest], 2) == {}
    catalog.blob_health.put(digest, 2, "new")
    assert catalog.blob_health.due(2, 10) == []
    assert catalog.blob_health.due(1, 10) == []
    assert catalog.blob_health.get([digest], 2) == {digest: "new"}


def test_what_was_measured_goes_with_the_last_repo_that_held_the_blob(catalog: Catalog) -> None:
    repos = [new_repo(catalog, name) for name in ("a/one", "a/two")]
    for repo in repos:
        commit(catalog, repo, put("x", b"shared"))
    digest = blob(b"shared").digest
    catalog.blob_health.put(digest, 1, "{}")
    catalog.repos.delete(repos[0].id)
    assert catalog.blob_health.forget_unowned() == 0
    catalog.repos.delete(repos[1].id)
    assert catalog.blob_health.forget_unowned() == 1
    assert catalog.blob_health.get([digest], 1) == {}
