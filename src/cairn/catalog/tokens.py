"""What callers prove themselves with: access tokens and browser sessions, kept only as hashes."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from cairn.catalog import audit
from cairn.catalog.accounts import account_of, find, key_of, roles_of
from cairn.catalog.database import Database
from cairn.catalog.records import TokenRecord
from cairn.catalog.schema import accounts, sessions, tokens
from cairn.domain import Actor, Scope
from cairn.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)

PREFIX = "cairn_"  # lets secret scanners recognise a leaked token
LAST_USED_STEP = timedelta(minutes=10)
MAX_NAME_LENGTH = 100
_SECRET_BYTES = 32


def _hash(plaintext: str) -> bytes:
    """A plain SHA-256 is enough: the secret has 256 random bits, nothing to guess."""
    return hashlib.sha256(plaintext.encode(errors="surrogatepass")).digest()


class Tokens:
    """Access tokens and sessions."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        user: str,
        name: str,
        scope: Scope,
        expires_at: datetime | None = None,
        *,
        by: Actor | None = None,
    ) -> str:
        """Make a token and return its secret, which is shown this once.

        Raises:
            NotFoundError: there is no such user.
            RequestError: `user` is an organisation, or the name is empty, over 100 characters
                or not printable.
            ConflictError: the user has a token of this name.
        """
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
            raise RequestError("a token name has 1 to 100 printable characters")
        plaintext = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        row = {
            "owner": key_of(user),
            "name": name,
            "hash": _hash(plaintext),
            "scope": scope.value,
            "created_at": now,
            "expires_at": expires_at,
        }
        with self._database.write() as connection:
            if find(connection, user).is_org:
                raise RequestError(f"{user!r} is an organisation; tokens belong to users")
            # The owner's row is locked so that two creations cannot both find the name free.
            connection.execute(
                select(accounts.c.key).where(accounts.c.key == key_of(user)).with_for_update()
            )
            if connection.execute(select(tokens.c.id).where(_live(user, name))).first():
                raise ConflictError(f"{user} has a token named {name!r}; revoke it first")
            connection.execute(insert(tokens), row)
            detail = f"{user}/{name} ({scope.value})"
            audit.note(connection, now, by, "token.create", detail=detail)
        return plaintext

    def actor(self, plaintext: str) -> Actor:
        """Whoever holds this token.

        Raises:
            UnauthenticatedError: nobody does, or it is revoked or expired.
        """
        now = self._clock()
        with self._database.read() as connection:
            row = connection.execute(
                select(tokens).where(tokens.c.hash == _hash(plaintext))
            ).one_or_none()
            if row is None or row.revoked_at is not None:
                raise UnauthenticatedError("this token is not valid; it may have been revoked")
            if row.expires_at is not None and row.expires_at <= now:
                raise UnauthenticatedError("this token has expired; create a new one")
            actor = self._actor(connection, row.owner, row.scope, row.name)
        if row.last_used_at is None or now - row.last_used_at >= LAST_USED_STEP:
            self._note_use(row.id, now)
        return actor

    def list(self, user: str) -> "list[TokenRecord]":
        """A user's tokens that are not revoked, oldest first."""
        query = (
            select(tokens)
            .where(tokens.c.owner == key_of(user), tokens.c.revoked_at.is_(None))
            .order_by(tokens.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            TokenRecord(r.name, Scope(r.scope), r.created_at, r.expires_at, r.last_used_at)
            for r in rows
        ]

    def revoke(self, user: str, name: str, *, by: Actor | None = None) -> None:
        """End a token at once.

        Raises:
            NotFoundError: the user has no such token.
        """
        now = self._clock()
        with self._database.write() as connection:
            done = connection.execute(
                update(tokens).where(_live(user, name)).values(revoked_at=now)
            )
            if done.rowcount == 0:
                raise NotFoundError(f"{user} has no token named {name!r}")
            audit.note(connection, now, by, "token.revoke", detail=f"{user}/{name}")

    def start_session(self, actor: Actor, ttl_s: float) -> str:
        """Open a browser session for `ttl_s` seconds at most; the cookie's value.

        It can do what the actor's token can, and ends when that is revoked or expires.

        Raises:
            ForbiddenError: the actor is anonymous, or its token is gone.
        """
        if actor.account is None:
            raise ForbiddenError("sign in with a token to open a session")
        plaintext = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        held = select(tokens.c.id).where(_live(actor.account.name, actor.token_name))
        with self._database.write() as connection:
            token = connection.execute(held).scalar_one_or_none()
            if token is None:
                raise ForbiddenError("the token was revoked meanwhile; sign in with another one")
            row = {
                "hash": _hash(plaintext),
                "token": token,
                "expires_at": now + timedelta(seconds=ttl_s),
            }
            connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            connection.execute(insert(sessions), row)
        return plaintext

    def session_actor(self, plaintext: str) -> Actor:
        """Whoever opened this session.

        Raises:
            UnauthenticatedError: it is unknown, ended or expired, or its token is.
        """
        now = self._clock()
        query = (
            select(tokens)
            .join(sessions, sessions.c.token == tokens.c.id)
            .where(
                sessions.c.hash == _hash(plaintext),
                sessions.c.expires_at > now,
                tokens.c.revoked_at.is_(None),
                or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
            )
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise UnauthenticatedError("this session has ended; sign in again")
            return self._actor(connection, row.owner, row.scope, row.name)

    def end_session(self, plaintext: str) -> None:
        """End a session; nothing happens if there is none."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == _hash(plaintext)))

    def _actor(self, connection: Connection, key: str, scope: str, token_name: str) -> Actor:
        row = connection.execute(select(accounts).where(accounts.c.key == key)).one()
        return Actor(account_of(row), Scope(scope), token_name, roles_of(connection, key))

    def _note_use(self, token_id: int, now: datetime) -> None:
        statement = update(tokens).where(tokens.c.id == token_id).values(last_used_at=now)
        try:
            with self._database.write() as connection:
                connection.execute(statement)
        except UnavailableError:
            return  # a busy database must not turn a valid token away; the next use notes it


def _live(user: str, name: str) -> ColumnElement[bool]:
    """Matches the user's unrevoked token of this name."""
    return and_(
        tokens.c.owner == key_of(user), tokens.c.name == name, tokens.c.revoked_at.is_(None)
    )
