"""Histories made again in another catalog, on SQLite and PostgreSQL alike."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread

import pytest

from cairn.catalog import Arrival, Catalog, DeleteFile, PastCommit
from cairn.domain import Ref, RepoId, Verdict
from cairn.errors import ConflictError, IntegrityError, NotFoundError, RepoNotFoundError
from tests.catalog.histories import MAIN, WHEN, commit, model, new_repo, put, put_large


@pytest.fixture
def past(catalog: Catalog) -> list[PastCommit]:
    """A line of three commits, and a fourth on a branch of the second."""
    repo = new_repo(catalog)
    commit(catalog, repo, put("a/b", b"1"), put_large("w", b"2"), put("c", b"3"))
    second = commit(catalog, repo, DeleteFile("c"), put("c/d", b"4"), when=WHEN + timedelta(1))
    catalog.history.create_ref(repo.uid, "refs/heads/side", second.id)
    commit(catalog, repo, DeleteFile("a"), put("a", b"5"), when=WHEN + timedelta(2))
    commit(catalog, repo, put("e"), branch="refs/heads/side", when=WHEN + timedelta(3))
    return list(catalog.past_commits.of(repo.uid))


def arrival(name: str, *refs: Ref) -> Arrival:
    return Arrival(
        model(name), private=True, gated="manual", sdk=None, safetensors_views=None, refs=refs
    )


def take(catalog: Catalog, name: str, past: Iterable[PastCommit], **refs: str) -> int:
    heads = [Ref(f"refs/heads/{branch}", at) for branch, at in refs.items()]
    return taken(catalog, arrival(name, *heads), past)


def taken(catalog: Catalog, arriving: Arrival, past: Iterable[PastCommit]) -> int:
    with catalog.arrivals.drafted(arriving, past) as history:
        return catalog.arrivals.take(arriving, history)[1]


def absent(catalog: Catalog, repo_id: RepoId) -> bool:
    try:
        catalog.repos.get(repo_id)
    except RepoNotFoundError:
        return True
    return False


def test_a_history_is_made_again_with_its_ids(catalog: Catalog, past: list[PastCommit]) -> None:
    (side,) = [c.id for c in past if c.changes == (put("e"),)]
    (main,) = [c.id for c in past[2:] if c.id != side]
    assert take(catalog, "ada/again", past, main=main, side=side) == 4
    record = catalog.repos.get(model("ada/again"))
    assert (record.private, record.gated, record.head) == (True, "manual", main)
    there = catalog.repos.get(model("ada/model"))
    for one in past:
        revisions = [catalog.history.resolve(uid, one.id) for uid in (there.uid, record.uid)]
        assert revisions[0] == revisions[1]
    assert set(catalog.past_commits.of(record.uid)) == set(past)
    assert catalog.history.digests(record.uid) == catalog.history.digests(there.uid)
    assert take(catalog, "ada/again", past, main=main, side=side) == 0
    assert catalog.audit.recent(1)[0].action == "repo.import"


def test_files_that_arrive_wait_to_be_scanned_by_their_names(
    catalog: Catalog, past: list[PastCommit]
) -> None:
    digest = put("w", b"2").blob.digest
    catalog.blob_scans.put((digest, "w"), "extractors", "rules", Verdict.CLEAN, "[]")
    renamed = [replace(past[0], changes=(put("w.pkl", b"2"),), parent=None)]
    assert catalog.blob_scans.names_waiting(digest) == []
    with pytest.raises(IntegrityError):
        take(catalog, "ada/other", renamed)  # its id is of other content
    assert catalog.blob_scans.names_waiting(digest) == []
    take(catalog, "ada/again", past, main=past[1].id)
    assert catalog.blob_scans.names_waiting(digest) == ["w"]


def test_branches_move_forward_only(catalog: Catalog, past: list[PastCommit]) -> None:
    first, second, *others = (c.id for c in past)
    take(catalog, "ada/again", past[:2], main=first)
    uid = catalog.repos.get(model("ada/again")).uid
    take(catalog, "ada/again", past, main=second)
    assert catalog.history.ref(uid, MAIN).commit == second
    take(catalog, "ada/again", past, main=first)
    assert catalog.history.ref(uid, MAIN).commit == second
    take(catalog, "ada/again", past, main=others[0])
    with pytest.raises(ConflictError, match="refs/heads/main"):
        take(catalog, "ada/again", past, main=others[1])
    tag = Ref("refs/tags/v1", first)
    taken(catalog, arrival("ada/again", tag), [])
    with pytest.raises(ConflictError, match="refs/tags/v1"):
        taken(catalog, arrival("ada/again", replace(tag, commit=second)), [])


def test_a_repo_arrives_whole_or_not_at_all(catalog: Catalog, past: list[PastCommit]) -> None:
    wrong = replace(past[-1], title="Another")
    with pytest.raises(IntegrityError, match="comes out as"):
        take(catalog, "ada/again", [*past[:-1], wrong], main=past[0].id)
    with pytest.raises(IntegrityError, match="before its parent"):
        take(catalog, "ada/again", past[1:], main=past[1].id)
    with pytest.raises(IntegrityError, match="cannot be made again"):
        broken = replace(past[1], changes=(DeleteFile("nowhere"),))
        take(catalog, "ada/again", [past[0], broken], main=past[0].id)
    with pytest.raises(IntegrityError, match="no commit"):
        take(catalog, "ada/again", past, main="0" * 40)
    assert absent(catalog, model("ada/again"))
    with pytest.raises(NotFoundError):
        take(catalog, "nobody/again", past, main=past[0].id)


def test_others_write_while_a_history_is_made_again(
    catalog: Catalog, past: list[PastCommit]
) -> None:
    written = Event()

    def write() -> None:
        catalog.accounts.create_user("bea")
        written.set()

    def coming() -> Iterator[PastCommit]:
        yield past[0]
        Thread(target=write).start()
        assert written.wait(10)
        yield from past[1:]

    with catalog.arrivals.drafted(arrival("ada/again"), coming()) as history:
        assert catalog.arrivals.take(arrival("ada/again"), history)[1] == 4


def test_what_others_did_since_the_draft_counts(catalog: Catalog, past: list[PastCommit]) -> None:
    arriving = arrival("ada/again", Ref(MAIN, past[1].id))
    with catalog.arrivals.drafted(arriving, past) as history:
        take(catalog, "ada/again", past[:1], main=past[0].id)
        assert catalog.arrivals.take(arriving, history)[1] == 3
    uid = catalog.repos.get(model("ada/again")).uid
    assert set(catalog.past_commits.of(uid)) == set(past)

    take(catalog, "ada/third", past[:1], main=past[0].id)
    arriving = arrival("ada/third", Ref(MAIN, past[1].id))
    with catalog.arrivals.drafted(arriving, past) as history:
        catalog.repos.delete(model("ada/third"))
        with pytest.raises(ConflictError, match="import it again"):
            catalog.arrivals.take(arriving, history)
        take(catalog, "ada/third", past[:1], main=past[0].id)
        with pytest.raises(ConflictError, match="replaced"):
            catalog.arrivals.take(arriving, history)
