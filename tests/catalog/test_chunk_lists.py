"""Chunk lists are found by key and by name, by whoever may read the blob, while they last."""

import pytest

from cairn.catalog import Catalog, ChunkKey, ChunkRun
from cairn.domain import ANONYMOUS, Actor, Digest, OrgRole
from tests.catalog.conftest import Clock
from tests.catalog.histories import blob, commit, new_repo, put

KEY = b"k" * 32


def listed(catalog: Catalog, data: bytes, runs: int = 1, key: bytes = KEY) -> Digest:
    """The digest of a blob with a list of `runs` runs of two chunks."""
    digest = blob(data).digest
    catalog.chunk_lists.record(
        digest,
        [run(digest, at) for at in range(runs)],
        [ChunkKey(key, 0), ChunkKey(key, 0)],
    )
    return digest


def run(digest: Digest, at: int) -> ChunkRun:
    name = bytes([at]) + digest.raw[1:]
    return ChunkRun(digest, at * 100, name, bytes([at]) * 64, bytes([at]) * 8)


def reader(catalog: Catalog, name: str) -> Actor:
    return Actor(catalog.accounts.get(name), organisations=catalog.accounts.organisations_of(name))


def found(catalog: Catalog, actor: Actor) -> list[Digest]:
    return [digest for digest, _ in catalog.chunk_lists.with_key(KEY, actor, 10)]


def test_a_list_is_found_by_key_and_its_runs_by_place_and_name(catalog: Catalog) -> None:
    commit(catalog, new_repo(catalog), put("x", b"bytes"))
    digest = listed(catalog, b"bytes", 5)
    lists = catalog.chunk_lists
    assert lists.with_key(KEY, ANONYMOUS, 10) == [(digest, 0)]
    assert lists.with_key(b"other" * 8, ANONYMOUS, 10) == []
    assert lists.runs(digest, 0, 10) == [run(digest, at) for at in range(5)]
    assert lists.runs(digest, 300, 3) == [run(digest, at) for at in (3, 4, 0)]
    assert lists.run(run(digest, 2).xorb, ANONYMOUS) == run(digest, 2)
    assert lists.run(b"?" * 32, ANONYMOUS) is None
    assert run(digest, 2).chunks == 2


def test_recording_again_changes_nothing(catalog: Catalog) -> None:
    digest = listed(catalog, b"bytes")
    catalog.chunk_lists.record(digest, [run(digest, 7)], [])
    assert catalog.chunk_lists.runs(digest, 0, 10) == [run(digest, 0)]


@pytest.mark.parametrize("closed", [{"private": True}, {"gated": "manual"}])
def test_a_closed_repo_shows_its_lists_to_its_own_people_only(catalog: Catalog, closed) -> None:
    for name in ("zoe", "member"):
        catalog.accounts.create_user(name)
    catalog.accounts.create_user("root", is_admin=True)
    catalog.accounts.create_organisation("lab")
    catalog.accounts.set_member("lab", "member", OrgRole.READ)
    repo = new_repo(catalog, "lab/model")
    commit(catalog, repo, put("x", b"bytes"))
    digest = listed(catalog, b"bytes")
    catalog.repos.update(repo.id, **closed)
    for who in (ANONYMOUS, reader(catalog, "zoe")):
        assert found(catalog, who) == []
        assert catalog.chunk_lists.run(run(digest, 0).xorb, who) is None
    for name in ("member", "root"):
        who = reader(catalog, name)
        assert found(catalog, who) == [digest]
        assert catalog.chunk_lists.run(run(digest, 0).xorb, who) == run(digest, 0)


def test_one_open_repo_among_closed_ones_is_enough(catalog: Catalog) -> None:
    for name, private in (("a/closed", True), ("a/open", False)):
        commit(catalog, new_repo(catalog, name, private=private), put("x", b"bytes"))
    digest = listed(catalog, b"bytes")
    assert found(catalog, ANONYMOUS) == [digest]


def test_newer_blobs_with_the_same_key_come_first(catalog: Catalog, clock: Clock) -> None:
    repo = new_repo(catalog)
    digests = []
    for data in (b"one", b"two", b"three"):
        commit(catalog, repo, put("x", data))
        digests.append(listed(catalog, data))
        clock.advance(seconds=1)
    assert found(catalog, ANONYMOUS) == digests[::-1]
    assert len(catalog.chunk_lists.with_key(KEY, ANONYMOUS, 2)) == 2


def test_lists_of_repos_are_found_those_of_use_lately_first(catalog: Catalog, clock: Clock) -> None:
    one, two, third = (new_repo(catalog, f"a/{name}") for name in ("one", "two", "three"))
    digests = []
    for repo, data in ((one, b"1"), (two, b"2"), (one, b"3"), (third, b"4")):
        commit(catalog, repo, put("x", data))
        digests.append(listed(catalog, data))
        clock.advance(seconds=1)
    commit(catalog, two, put("y", b"1"))  # in both, told once
    lists = catalog.chunk_lists
    assert lists.of_repos([one.uid, two.uid], 9) == [digests[2], digests[1], digests[0]]
    lists.note_use([digests[0]])
    assert lists.of_repos([one.uid, two.uid], 2) == [digests[0], digests[2]]
    assert lists.of_repos([], 9) == []


def test_a_list_goes_with_the_last_repo_that_holds_or_was_sent_the_blob(catalog: Catalog) -> None:
    repo, other = new_repo(catalog, "a/one"), new_repo(catalog, "a/two")
    commit(catalog, repo, put("x", b"bytes"))
    catalog.uploads.record(other.uid, blob(b"bytes"))
    digest = listed(catalog, b"bytes")
    catalog.repos.delete(repo.id)
    assert catalog.chunk_lists.forget_unowned() == 0
    catalog.repos.delete(other.id)
    assert catalog.chunk_lists.forget_unowned() == 1
    assert catalog.chunk_lists.runs(digest, 0, 10) == []
    assert listed(catalog, b"bytes") == digest  # nothing was left in the way


def test_beyond_the_limit_the_lists_unused_for_longest_go(catalog: Catalog, clock: Clock) -> None:
    digests = []
    for data in (b"one", b"two", b"three"):
        digests.append(listed(catalog, data, runs=5))  # ten chunks
        clock.advance(seconds=1)
    catalog.chunk_lists.note_use([digests[0]])
    assert catalog.chunk_lists.trim(30) == 0
    assert catalog.chunk_lists.trim(29) == 1
    left = [d for d in digests if catalog.chunk_lists.runs(d, 0, 1)]
    assert left == [digests[0], digests[2]]


def test_a_forgotten_list_is_gone(catalog: Catalog) -> None:
    commit(catalog, new_repo(catalog), put("x", b"bytes"))
    catalog.chunk_lists.forget(listed(catalog, b"bytes"))
    assert found(catalog, ANONYMOUS) == []
