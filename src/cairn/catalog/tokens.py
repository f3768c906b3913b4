"""What clients prove themselves with: access tokens, kept only as hashes."""

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, insert, select, update

from cairn.catalog import audit
from cairn.catalog.accounts import actor_of, find, grants_of, key_of
from cairn.catalog.database import Database
from cairn.catalog.records import TokenRecord
from cairn.catalog.schema import accounts, tokens
from cairn.catalog.secret_hash import secret_hash
from cairn.domain import Actor, Grant, Scope
from cairn.errors import (
    ConflictError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)

PREFIX = "cairn_"  # lets secret scanners recognise a leaked token
LAST_USED_STEP = timedelta(minutes=10)
MAX_NAME_LENGTH = 100
MAX_GRANTS = 50
_SECRET_BYTES = 32


class Tokens:
    """Access tokens by account."""

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
        grants: Sequence[Grant] = (),
        by: Actor | None = None,
    ) -> str:
        """Make a token and return its secret, which is shown this once.

        A fine-grained one may do what its `grants` say, as far as its owner may.

        Raises:
            NotFoundError: there is no such user.
            RequestError: `user` is an organisation, or the name is empty, over 100 characters
                or not printable, or the grants do not fit the scope, or `expires_at` is past.
            ConflictError: the user has a token of this name.
        """
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
            raise RequestError("a token name has 1 to 100 printable characters")
        _check_grants(scope, grants)
        if expires_at is not None and expires_at <= self._clock():
            raise RequestError("a token expires in the future, or never")
        plaintext = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        row = {
            "owner": key_of(user),
            "name": name,
            "hash": secret_hash(plaintext),
            "scope": scope.value,
            "grants": json.dumps([str(grant) for grant in grants]) if grants else None,
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
            detail = f"{user}/{name} ({' '.join([scope.value, *map(str, grants)])})"
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
                select(tokens).where(tokens.c.hash == secret_hash(plaintext))
            ).one_or_none()
            if row is None or row.revoked_at is not None:
                raise UnauthenticatedError("this token is not valid; it may have been revoked")
            if row.expires_at is not None and row.expires_at <= now:
                raise UnauthenticatedError("this token has expired; create a new one")
            actor = actor_of(connection, row.owner, Scope(row.scope), row.name, row.grants)
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
            TokenRecord(
                r.name,
                Scope(r.scope),
                r.created_at,
                r.expires_at,
                r.last_used_at,
                grants_of(r.grants),
            )
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

    def _note_use(self, token_id: int, now: datetime) -> None:
        statement = update(tokens).where(tokens.c.id == token_id).values(last_used_at=now)
        try:
            with self._database.write() as connection:
                connection.execute(statement)
        except UnavailableError:
            return  # a busy database must not turn a valid token away; the next use notes it


def _check_grants(scope: Scope, grants: Sequence[Grant]) -> None:
    if (scope is Scope.FINE_GRAINED) is not bool(grants):
        raise RequestError("a fine-grained token has grants, at least one; others have none")
    if len(grants) > MAX_GRANTS:
        raise RequestError(f"a token has at most {MAX_GRANTS} grants; grant a whole namespace")


def _live(user: str, name: str) -> ColumnElement[bool]:
    """Matches the user's unrevoked token of this name."""
    return and_(
        tokens.c.owner == key_of(user), tokens.c.name == name, tokens.c.revoked_at.is_(None)
    )
