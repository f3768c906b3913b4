"""Browser sessions: what a cookie is worth, and until when. Only hashes of cookies are kept."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from cairn.catalog import audit
from cairn.catalog.accounts import actor_of, find, key_of
from cairn.catalog.database import Database, storable
from cairn.catalog.records import SessionRecord
from cairn.catalog.schema import sessions, tokens
from cairn.catalog.secret_hash import secret_hash
from cairn.catalog.sign_in_rules import SignInRules
from cairn.domain import Actor, Scope
from cairn.errors import ForbiddenError, NotFoundError, UnauthenticatedError, UnavailableError

SEEN_STEP = timedelta(minutes=5)
MAX_AGENT_CHARACTERS = 200
_SECRET_BYTES = 32


class Sessions:
    """Sessions by account."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], rules: SignInRules
    ) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules

    def start(
        self, user: str, way: str, *, token_name: str = "", address: str = "", agent: str = ""
    ) -> str:
        """Open a session and return the cookie's value; sessions that are over are swept out.

        `way` says how the person proved who they are. With `token_name` the session can do what
        that token can, and ends when it is revoked or expires.

        Raises:
            NotFoundError: there is no such user.
            ForbiddenError: the token was revoked meanwhile.
        """
        plaintext = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        with self._database.write() as connection:
            owner = key_of(find(connection, user).name)
            token = _token_id(connection, owner, token_name) if token_name else None
            connection.execute(delete(sessions).where(self._over(now)))
            row = {
                "hash": secret_hash(plaintext),
                "owner": owner,
                "token": token,
                "way": way,
                "address": address,
                "agent": agent[:MAX_AGENT_CHARACTERS] if storable(agent) else "",
                "created_at": now,
                "seen_at": now,
                "expires_at": now + timedelta(seconds=self._rules.session_max_s),
            }
            connection.execute(insert(sessions), row)
            by = actor_of(connection, owner, Scope.WRITE, token_name)
            audit.note(connection, now, by, "session.start", detail=f"{way} from {address}")
        return plaintext

    def actor(self, plaintext: str) -> Actor:
        """Whoever opened this session.

        Raises:
            UnauthenticatedError: it is unknown, ended or expired, or its token is.
        """
        now = self._clock()
        query = _with_tokens().where(sessions.c.hash == secret_hash(plaintext))
        with self._database.read() as connection:
            row = connection.execute(query.where(self._live(now))).one_or_none()
            if row is None:
                raise UnauthenticatedError("this session has ended; sign in again")
            scope = Scope.WRITE if row.token is None else Scope(row.scope)
            actor = actor_of(connection, row.owner, scope, row.token_name or "", row.grants)
        if now - row.seen_at >= SEEN_STEP:
            self._note_use(row.id, now)
        return actor

    def list(self, user: str, current: str = "") -> "list[SessionRecord]":
        """A person's sessions that go on, the one used last first; `current` is its cookie."""
        query = _with_tokens().where(sessions.c.owner == key_of(user), self._live(self._clock()))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.seen_at.desc())).all()
        return [_record(row, current) for row in rows]

    def end(self, plaintext: str, *, by: Actor | None = None) -> None:
        """End a session; nothing happens if there is none."""
        with self._database.write() as connection:
            held = sessions.c.hash == secret_hash(plaintext)
            if connection.execute(delete(sessions).where(held)).rowcount:
                audit.note(connection, self._clock(), by, "session.end")

    def revoke(self, user: str, number: int, *, by: Actor | None = None) -> None:
        """End one of a person's sessions.

        Raises:
            NotFoundError: they have none of this number.
        """
        held = and_(sessions.c.id == number, sessions.c.owner == key_of(user))
        with self._database.write() as connection:
            if not connection.execute(delete(sessions).where(held)).rowcount:
                raise NotFoundError(f"{user} has no such session; it may have ended")
            audit.note(connection, self._clock(), by, "session.revoke", detail=user)

    def revoke_all(self, user: str, *, but: str = "", by: Actor | None = None) -> int:
        """End all sessions of a person, but that of the cookie `but`; how many there were."""
        held = and_(sessions.c.owner == key_of(user), sessions.c.hash != secret_hash(but))
        with self._database.write() as connection:
            number = connection.execute(delete(sessions).where(held)).rowcount
            if number:
                detail = f"{user}: {number}"
                audit.note(connection, self._clock(), by, "session.revoke", detail=detail)
        return number

    def _over(self, now: datetime) -> ColumnElement[bool]:
        idle = now - timedelta(seconds=self._rules.session_idle_s)
        return or_(sessions.c.expires_at <= now, sessions.c.seen_at <= idle)

    def _live(self, now: datetime) -> ColumnElement[bool]:
        """Matches sessions that go on, joined with their tokens."""
        token = or_(
            sessions.c.token.is_(None),
            and_(
                tokens.c.id.is_not(None),
                tokens.c.revoked_at.is_(None),
                or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
            ),
        )
        return and_(~self._over(now), token)

    def _note_use(self, number: int, now: datetime) -> None:
        try:
            with self._database.write() as connection:
                seen = update(sessions).where(sessions.c.id == number).values(seen_at=now)
                connection.execute(seen)
        except UnavailableError:
            return  # a busy database must not end a session; the next request notes it


def _with_tokens() -> Select[Any]:
    return select(
        sessions, tokens.c.name.label("token_name"), tokens.c.scope, tokens.c.grants
    ).outerjoin(tokens, tokens.c.id == sessions.c.token)


def _token_id(connection: Connection, owner: str, name: str) -> int:
    live = and_(tokens.c.owner == owner, tokens.c.name == name, tokens.c.revoked_at.is_(None))
    found: int | None = connection.execute(select(tokens.c.id).where(live)).scalar_one_or_none()
    if found is None:
        raise ForbiddenError("the token was revoked meanwhile; sign in with another one")
    return found


def _record(row: "Row[tuple[object, ...]]", current: str) -> SessionRecord:
    return SessionRecord(
        id=row.id,
        way=row.way,
        address=row.address,
        agent=row.agent,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        is_current=bool(current) and row.hash == secret_hash(current),
    )
