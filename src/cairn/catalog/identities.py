"""Who people are at OpenID providers: pairs of issuer and subject, linked to one account each.

Never an e-mail address: providers let people change theirs, and give old ones to others.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, delete, select

from cairn.catalog import audit
from cairn.catalog.accounts import find, insert_account, key_of
from cairn.catalog.database import Database, insert_if_new, storable
from cairn.catalog.records import IdentityRecord
from cairn.catalog.schema import accounts, identities
from cairn.domain import Account, Actor
from cairn.errors import ConflictError, NotFoundError, RequestError

MAX_SHOWN_CHARACTERS = 200


class Identities:
    """Identities by provider and by account."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def owner(self, issuer: str, subject: str) -> str | None:
        """The name of the account that an identity is linked to; None if to none."""
        query = (
            select(accounts.c.name)
            .join(identities, identities.c.owner == accounts.c.key)
            .where(identities.c.issuer == issuer, identities.c.subject == subject)
        )
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar_one_or_none()
        return found

    def list(self, user: str) -> "list[IdentityRecord]":
        """Whom a person is known as, the first linked first."""
        query = (
            select(identities)
            .where(identities.c.owner == key_of(user))
            .order_by(identities.c.linked_at)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [IdentityRecord(r.issuer, r.subject, r.shown_name, r.linked_at) for r in rows]

    def link(
        self, user: str, issuer: str, subject: str, shown_name: str, *, by: Actor | None = None
    ) -> None:
        """Let an identity sign in as this user.

        Raises:
            NotFoundError: there is no such user.
            RequestError: `user` is an organisation, or the subject is no text to keep.
            ConflictError: the identity is linked to somebody.
        """
        with self._database.write() as connection:
            account = find(connection, user)
            if account.is_org:
                raise RequestError(f"{account.name!r} is an organisation; only users sign in")
            self._link(connection, account, issuer, subject, shown_name, by)

    def create_user(self, account: Account, issuer: str, subject: str, shown_name: str) -> None:
        """Make an account and link an identity to it, both or neither.

        Raises:
            NamingError, RequestError: the name or another text is not one to keep.
            ConflictError: the name is taken or reserved, or the identity is linked to somebody.
        """
        with self._database.write() as connection:
            insert_account(connection, account, self._clock())
            self._link(connection, account, issuer, subject, shown_name, Actor(account))

    def unlink(self, user: str, issuer: str, subject: str, *, by: Actor | None = None) -> None:
        """End a link.

        Raises:
            NotFoundError: the user has no such identity.
        """
        pair = (identities.c.issuer == issuer) & (identities.c.subject == subject)
        with self._database.write() as connection:
            held = pair & (identities.c.owner == key_of(user))
            if not connection.execute(delete(identities).where(held)).rowcount:
                raise NotFoundError(f"{user} has no such identity")
            audit.note(connection, self._clock(), by, "identity.unlink", detail=f"{user}: {issuer}")

    def _link(
        self,
        connection: Connection,
        account: Account,
        issuer: str,
        subject: str,
        shown_name: str,
        by: Actor | None,
    ) -> None:
        if not storable(subject):
            raise RequestError("the provider's name for this person is no text to keep")
        now = self._clock()
        row = {
            "issuer": issuer,
            "subject": subject,
            "owner": key_of(account.name),
            "shown_name": shown_name[:MAX_SHOWN_CHARACTERS] if storable(shown_name) else "",
            "linked_at": now,
        }
        found = select(identities).where(
            identities.c.issuer == issuer, identities.c.subject == subject
        )
        if connection.execute(found).first() or not insert_if_new(connection, identities, row):
            raise ConflictError("this identity is linked to an account already")
        audit.note(connection, now, by, "identity.link", detail=f"{account.name}: {issuer}")
