"""Browser sessions: what they are worth and when they end."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from cairn.catalog import Catalog, SignInRules, schema
from cairn.catalog.sessions import Sessions
from cairn.domain import Scope
from cairn.errors import ForbiddenError, NotFoundError, UnauthenticatedError

IDLE_S, MAX_S = 3600.0, 10 * 3600.0


@pytest.fixture
def sessions(catalog: Catalog, clock) -> Sessions:
    catalog.accounts.create_user("ada")
    catalog.accounts.create_user("bob")
    return Sessions(
        catalog.database, clock, SignInRules(session_idle_s=IDLE_S, session_max_s=MAX_S)
    )


def _is_over(sessions: Sessions, cookie: str) -> bool:
    try:
        sessions.actor(cookie)
    except UnauthenticatedError:
        return True
    return False


def test_a_session_is_whoever_opened_it_until_it_ends(sessions: Sessions) -> None:
    cookie = sessions.start("ADA", "password")
    actor = sessions.actor(cookie)
    assert (actor.name, actor.scope) == ("ada", Scope.WRITE)
    other = sessions.start("ada", "password")
    sessions.end(cookie)
    sessions.end(cookie)
    assert _is_over(sessions, cookie) and not _is_over(sessions, other)


@pytest.mark.parametrize("cookie", ["", "x", "\ud800", "x\0"])
def test_an_unknown_cookie_is_nobodys(sessions: Sessions, cookie: str) -> None:
    assert _is_over(sessions, cookie)


def test_only_the_hash_of_a_cookie_is_kept(sessions: Sessions, catalog: Catalog) -> None:
    cookie = sessions.start("ada", "password")
    with catalog.database.read() as connection:
        row = connection.execute(select(schema.sessions)).one()
    assert not any(cookie in str(value) for value in row)


def test_a_session_ends_when_nobody_uses_it(sessions: Sessions, clock) -> None:
    used, idle = sessions.start("ada", "password"), sessions.start("ada", "password")
    for _ in range(3):
        clock.advance(seconds=IDLE_S / 2)
        assert not _is_over(sessions, used)
    assert _is_over(sessions, idle)
    assert len(sessions.list("ada")) == 1


def test_a_session_that_is_used_ends_in_the_end(sessions: Sessions, clock) -> None:
    cookie = sessions.start("ada", "password")
    for _ in range(int(2 * MAX_S / IDLE_S) - 1):
        clock.advance(seconds=IDLE_S / 2)
        assert not _is_over(sessions, cookie)
    clock.advance(seconds=IDLE_S / 2)
    assert _is_over(sessions, cookie)


def test_a_session_ends_with_the_token_it_was_opened_with(
    sessions: Sessions, catalog: Catalog, clock
) -> None:
    catalog.tokens.create("ada", "lost", Scope.WRITE)
    catalog.tokens.create("ada", "brief", Scope.READ, clock() + timedelta(minutes=5))
    stolen = sessions.start("ada", "token", token_name="lost")
    short = sessions.start("ada", "token", token_name="brief")
    assert sessions.actor(short).scope is Scope.READ
    assert sessions.actor(short).token_name == "brief"
    catalog.tokens.revoke("ada", "lost")
    assert _is_over(sessions, stolen)
    assert [s.way for s in sessions.list("ada")] == ["token"]
    clock.advance(minutes=5)
    assert _is_over(sessions, short)
    with pytest.raises(ForbiddenError):
        sessions.start("ada", "token", token_name="lost")
    with pytest.raises(NotFoundError):
        sessions.start("nobody", "password")


def test_sessions_are_listed_without_their_cookies_and_ended_one_by_one(
    sessions: Sessions, clock
) -> None:
    own = sessions.start("ada", "password", address="10.0.0.1", agent="Browser/1 " + "x" * 500)
    clock.advance(seconds=1)
    sessions.start("ada", "oidc", address="10.0.0.2", agent="bad \0 agent")
    theirs = sessions.start("bob", "password")
    newest, oldest = sessions.list("Ada", own)
    assert (newest.way, newest.address, newest.agent) == ("oidc", "10.0.0.2", "")
    assert (oldest.is_current, newest.is_current) == (True, False)
    assert oldest.agent.startswith("Browser/1") and len(oldest.agent) == 200
    with pytest.raises(NotFoundError):
        sessions.revoke("bob", newest.id)
    sessions.revoke("ada", newest.id)
    assert [s.id for s in sessions.list("ada")] == [oldest.id]
    with pytest.raises(NotFoundError):
        sessions.revoke("ada", newest.id)
    assert not _is_over(sessions, theirs)


def test_a_person_is_signed_out_everywhere_or_everywhere_else(sessions: Sessions) -> None:
    own, *others = (sessions.start("ada", "password") for _ in range(3))
    theirs = sessions.start("bob", "password")
    assert sessions.revoke_all("ada", but=own) == 2
    assert all(_is_over(sessions, cookie) for cookie in others)
    assert not _is_over(sessions, own)
    assert sessions.revoke_all("ada") == 1
    assert _is_over(sessions, own) and not _is_over(sessions, theirs)


def test_what_is_over_is_swept_when_new_ones_start(
    sessions: Sessions, catalog: Catalog, clock
) -> None:
    for _ in range(3):
        sessions.start("ada", "password")
    clock.advance(seconds=IDLE_S)
    sessions.start("ada", "password")
    with catalog.database.read() as connection:
        assert len(connection.execute(select(schema.sessions)).all()) == 1


def test_the_audit_trail_tells_of_sessions(sessions: Sessions, catalog: Catalog) -> None:
    cookie = sessions.start("ada", "password", address="10.0.0.1")
    ada = sessions.actor(cookie)
    sessions.end(cookie, by=ada)
    sessions.start("ada", "password")
    sessions.revoke_all("ada", by=ada)
    rows = [(r.actor, r.action, r.detail) for r in reversed(catalog.audit.recent(4))]
    assert rows == [
        ("ada", "session.start", "password from 10.0.0.1"),
        ("ada", "session.end", ""),
        ("ada", "session.start", "password from "),
        ("ada", "session.revoke", "ada: 1"),
    ]
