"""Who may sign the repos of which namespace: keys and root certificates that the hub believes."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, insert, select

from cairn.catalog import audit
from cairn.catalog.accounts import find, key_of
from cairn.catalog.database import Database
from cairn.catalog.records import TrustedSigner
from cairn.catalog.schema import trusted_signers
from cairn.domain import Actor
from cairn.errors import ConflictError, NotFoundError

EVERYWHERE = ""  # the owner of rows that hold for every namespace


class TrustedSigners:
    """Keys and roots by namespace and name. The catalog keeps them and knows nothing of keys."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(
        self,
        namespace: str | None,
        name: str,
        pem: str,
        identity: str,
        by: Actor | None,
        *,
        issuer: str = "",
    ) -> TrustedSigner:
        """Believe a signer in a namespace; None: in every one.

        Raises:
            NotFoundError: there is no such account.
            ConflictError: there is one of this name; remove it first.
        """
        now = self._clock()
        with self._database.write() as connection:
            if namespace is not None:
                namespace = find(connection, namespace).name
            row = {"owner": _owner(namespace), "name": name}
            if connection.execute(select(trusted_signers).filter_by(**row)).first() is not None:
                raise ConflictError(f"{name!r} is trusted already; remove it first")
            given = {"pem": pem, "identity": identity, "issuer": issuer}
            values = {**row, **given, "added_at": now}
            connection.execute(insert(trusted_signers), values)
            audit.note(connection, now, by, "trust.add", None, f"{namespace or '*'} {name}\n{pem}")
        return TrustedSigner(namespace, name, pem, identity, issuer, now)

    def remove(self, namespace: str | None, name: str, by: Actor | None) -> None:
        """Believe a signer no more.

        Raises:
            NotFoundError: there is none of this name.
        """
        row = {"owner": _owner(namespace), "name": name}
        with self._database.write() as connection:
            if not connection.execute(delete(trusted_signers).filter_by(**row)).rowcount:
                raise NotFoundError(f"no signer {name!r} is trusted for {namespace or 'everyone'}")
            detail = f"{namespace or '*'} {name}"
            audit.note(connection, self._clock(), by, "trust.remove", None, detail)

    def of(self, namespace: str) -> list[TrustedSigner]:
        """Who is believed in a namespace, those of every namespace among them."""
        owners = (EVERYWHERE, key_of(namespace))
        return [one for one in self.all() if _owner(one.namespace) in owners]

    def all(self) -> list[TrustedSigner]:
        """Who is believed anywhere, by namespace and name."""
        query = select(trusted_signers).order_by(trusted_signers.c.owner, trusted_signers.c.name)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            TrustedSigner(
                row.owner or None, row.name, row.pem, row.identity, row.issuer, row.added_at
            )
            for row in rows
        ]


def _owner(namespace: str | None) -> str:
    return EVERYWHERE if namespace is None else key_of(namespace)
