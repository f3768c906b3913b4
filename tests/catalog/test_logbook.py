"""What moves a ref waits for the log in the same transaction; the log has no gap and no double."""

import hashlib

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from cairn.catalog import Arrival, Catalog, DeleteFile, Logged, WaitingEvent, schema
from cairn.domain import Account, Actor, LogEvent, LogKind, Ref
from cairn.errors import ConflictError, EntryNotFoundError, StaleParentError
from tests.catalog.histories import MAIN, commit, model, new_repo, put
from tests.catalog.test_many_writers import at_once

ADA = Actor(Account("ada", "Ada"))


def events(catalog: Catalog) -> list[LogEvent]:
    return [waiting.event for waiting in catalog.logbook.waiting(1000)]


def moves(catalog: Catalog) -> list[tuple[str, str | None, str | None, str | None, str]]:
    return [(e.kind.value, e.ref, e.old, e.new, e.actor) for e in events(catalog)]


def append(catalog: Catalog, waiting: list[WaitingEvent]) -> bool:
    size = catalog.logbook.size()
    numbered = [
        (event, Logged(size + n, f"{event.event.ref} {event.event.new}".encode()))
        for n, event in enumerate(waiting)
    ]
    return catalog.logbook.append(size, numbered, {(0, 0): bytes(32 * (size + len(waiting)))})


def append_all(catalog: Catalog) -> None:
    assert append(catalog, catalog.logbook.waiting(1000))


def test_every_way_to_move_a_ref_waits_in_order_with_who_did_it(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    first = commit(catalog, repo, put("a"))
    catalog.history.create_ref(repo.uid, "refs/tags/v1", first.id, by=ADA)
    second = commit(catalog, repo, put("b"))
    catalog.history.delete_ref(repo.uid, "refs/tags/v1", by=ADA)
    catalog.repos.delete(repo.id, by=ADA)
    assert moves(catalog) == [
        ("ref", MAIN, None, first.id, "ada"),
        ("ref", "refs/tags/v1", None, first.id, "ada"),
        ("ref", MAIN, first.id, second.id, "ada"),
        ("ref", "refs/tags/v1", first.id, None, "ada"),
        ("repo.delete", None, None, None, "ada"),
    ]
    assert {event.repo for event in events(catalog)} == {repo.id}
    trees = [waiting.tree for waiting in catalog.logbook.waiting(9)]
    assert trees == [first.tree, first.tree, second.tree, None, None]


def test_a_signature_waits_with_what_it_is_about_and_the_same_one_only_once(
    catalog: Catalog,
) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    for _ in range(2):
        catalog.attachments.add(repo, head.id, "signature", b"{}", ADA)
    _, event = events(catalog)
    digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert (event.kind, event.actor) == (LogKind.ATTACHED, "ada")
    assert event.details == {"commit": head.id, "digest": digest, "what": "signature"}


def test_an_import_waits_with_where_each_branch_was(catalog: Catalog) -> None:
    there = new_repo(catalog, "ada/there")
    first, second = (commit(catalog, there, put(name)) for name in "ab")
    past = list(catalog.past_commits.of(there.uid))
    before = len(events(catalog))

    def arrive(head: str) -> None:
        arrival = Arrival(model("ada/here"), False, None, None, None, (Ref(MAIN, head),))
        with catalog.arrivals.drafted(arrival, past) as history:
            catalog.arrivals.take(arrival, history, by=ADA)

    for head in (first.id, second.id, first.id, second.id):
        arrive(head)
    assert moves(catalog)[before:] == [
        ("ref", MAIN, None, first.id, "ada"),
        ("ref", MAIN, first.id, second.id, "ada"),
    ]


def test_what_was_undone_or_changed_nothing_does_not_wait(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    assert commit(catalog, repo, put("a")).id == head.id
    with pytest.raises(StaleParentError):
        commit(catalog, repo, put("b"), parent="0" * 40)
    with pytest.raises(EntryNotFoundError):
        commit(catalog, repo, DeleteFile("missing"))
    with pytest.raises(ConflictError):
        catalog.history.create_ref(repo.uid, MAIN, head.id)
    assert [event.new for event in events(catalog)] == [head.id]


def test_a_repo_that_turns_private_hides_what_happens_from_then_on(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("a"))
    catalog.repos.update(repo.id, private=True)
    commit(catalog, repo, put("b"))
    catalog.repos.delete(repo.id)
    assert [waiting.private for waiting in catalog.logbook.waiting(9)] == [False, True, True]


def test_entries_are_numbered_without_a_gap_and_wait_no_longer(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    made = [commit(catalog, repo, put(name)) for name in "abc"]
    append(catalog, catalog.logbook.waiting(2))
    append(catalog, catalog.logbook.waiting(2))
    assert (catalog.logbook.size(), events(catalog)) == (3, [])
    expected = [f"{MAIN} {revision.id}".encode() for revision in made]
    assert catalog.logbook.entries(0, 3) == expected
    assert catalog.logbook.entries(1, 9) == expected[1:]
    assert catalog.logbook.of_commit(repo.uid, made[2].id) == Logged(2, expected[2])
    assert catalog.logbook.of_commit(repo.uid, "0" * 40) is None
    assert (catalog.logbook.tile(0, 0), catalog.logbook.tile(0, 1)) == (bytes(96), None)


def test_of_many_who_append_at_once_one_does(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    for name in "abc":
        commit(catalog, repo, put(name))
    waiting = catalog.logbook.waiting(10)
    done = at_once(6, lambda _: append_to_empty(catalog, waiting))
    assert sorted(done) == [False] * 5 + [True]
    assert (catalog.logbook.size(), events(catalog)) == (3, [])


def append_to_empty(catalog: Catalog, waiting: list[WaitingEvent]) -> bool:
    numbered = [(event, Logged(n, b"x")) for n, event in enumerate(waiting)]
    return catalog.logbook.append(0, numbered, {})


def test_events_that_somebody_else_has_appended_are_not_appended_again(catalog: Catalog) -> None:
    commit(catalog, new_repo(catalog), put("a"))
    seen = catalog.logbook.waiting(10)
    assert append(catalog, seen)
    assert not append(catalog, seen)
    assert catalog.logbook.size() == 1


def test_commits_of_many_threads_all_wait_each_repo_in_its_own_order(catalog: Catalog) -> None:
    repos = [new_repo(catalog, f"ada/m{n}") for n in range(3)]
    made = at_once(6, lambda n: [commit(catalog, repos[n % 3], put(f"{n}-{m}")) for m in range(5)])
    assert all(isinstance(revisions, list) for revisions in made)
    for repo in repos:
        chain = [e for e in events(catalog) if e.repo == repo.id]
        assert len(chain) == 10
        assert [event.old for event in chain] == [None, *(event.new for event in chain[:-1])]


def test_refs_that_the_log_does_not_know_are_found_once(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    catalog.history.create_ref(repo.uid, "refs/tags/v1", head.id)
    assert catalog.logbook.note_unlogged_refs() == 0, "they wait already"
    with catalog.database.write() as connection:  # as in a hub that had no log yet
        connection.execute(delete(schema.log_waiting))
    assert catalog.logbook.note_unlogged_refs() == 2
    assert catalog.logbook.note_unlogged_refs() == 0
    assert moves(catalog) == [
        (LogKind.REF_FOUND.value, MAIN, None, head.id, "system"),
        (LogKind.REF_FOUND.value, "refs/tags/v1", None, head.id, "system"),
    ]
    append_all(catalog)
    assert catalog.logbook.note_unlogged_refs() == 0


def test_a_ref_moved_behind_the_logs_back_is_found_with_where_it_was(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    first, second = (commit(catalog, repo, put(name)) for name in "ab")
    append_all(catalog)
    with catalog.database.write() as connection:
        connection.execute(update(schema.refs).values(commit=first.id))
    assert catalog.logbook.note_unlogged_refs() == 1
    assert moves(catalog) == [("ref.found", MAIN, second.id, first.id, "system")]


@pytest.mark.parametrize(
    "statement", ["UPDATE log_entries SET entry = ''", "DELETE FROM log_entries"]
)
def test_the_database_refuses_to_change_entries(catalog: Catalog, statement: str) -> None:
    commit(catalog, new_repo(catalog), put("a"))
    append_all(catalog)
    with pytest.raises(DBAPIError, match="never changed"), catalog.database.write() as connection:
        connection.execute(text(statement))
    assert catalog.logbook.size() == 1
