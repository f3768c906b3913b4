"""Who there is: people and organisations in one case-insensitive namespace, and memberships."""

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Row, delete, exists, insert, select

from cairn.catalog import audit
from cairn.catalog.database import Database, insert_if_new, storable
from cairn.catalog.schema import accounts, memberships
from cairn.domain import Account, Actor, Grant, OrgRole, Scope, check_name
from cairn.errors import ConflictError, NotFoundError, RequestError

# First segments of the hub's own URLs: a namespace of that name could not be reached.
_RESERVED_NAMES = """
    _cairn_store about anonymous api assets auth blog cas collections dashboard dataset
    datasets discussions doc docs explore favicon.ico health healthz help home join kernels
    licenses lfs login logout metrics model models new notifications oauth openapi.json
    organizations papers pricing privacy readyz repos robots.txt search security session
    sessions settings signup space spaces static status support system tasks terms tokens
    users v1 v2 whoami xet
"""
RESERVED = frozenset(_RESERVED_NAMES.split())


def key_of(name: str) -> str:
    """What names are compared by."""
    return name.lower()


def account_of(row: "Row[tuple[object, ...]]") -> Account:
    """The noun for a row of `accounts`."""
    return Account(row.name, row.full_name, row.is_org, row.is_admin, row.email)


def roles_of(connection: Connection, member: str) -> dict[str, OrgRole]:
    """The organisations a user (by key) belongs to, by name."""
    query = (
        select(accounts.c.name, memberships.c.role)
        .join(memberships, memberships.c.organisation == accounts.c.key)
        .where(memberships.c.member == member)
        .order_by(accounts.c.key)
    )
    return {name: OrgRole(role) for name, role in connection.execute(query)}


def actor_of(
    connection: Connection, key: str, scope: Scope, token_name: str, grants: str | None = None
) -> Actor:
    """The user of this key with the rights they have now, as far as scope and grants let them."""
    row = connection.execute(select(accounts).where(accounts.c.key == key)).one()
    roles = roles_of(connection, key)
    return Actor(account_of(row), scope, token_name, roles, grants_of(grants))


def grants_of(kept: str | None) -> tuple[Grant, ...]:
    """The grants in a row of `tokens`."""
    return tuple(map(Grant.parse, json.loads(kept or "[]")))


class Accounts:
    """Users, organisations, and who belongs where."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def create_user(
        self,
        name: str,
        *,
        full_name: str = "",
        email: str | None = None,
        is_admin: bool = False,
        by: Actor | None = None,
    ) -> Account:
        """Add a person; `by` None is whoever has the hub's machine.

        Raises:
            NamingError: the name breaks the rules.
            RequestError: full name or address hold what text cannot.
            ConflictError: a user or organisation has it, whatever the case, or it is reserved.
        """
        account = Account(_allowed(name), full_name or name, is_admin=is_admin, email=email)
        with self._database.write() as connection:
            insert_account(connection, account, self._clock())
            detail = f"{account.name} administrator" if is_admin else account.name
            audit.note(connection, self._clock(), by, "user.create", detail=detail)
        return account

    def create_organisation(
        self, name: str, *, full_name: str = "", owner: str | None = None, by: Actor | None = None
    ) -> Account:
        """Add an organisation; `owner` becomes its first admin.

        Raises:
            NamingError, RequestError, ConflictError: as for a user.
            NotFoundError: there is no user `owner`.
        """
        account = Account(_allowed(name), full_name or name, is_org=True)
        with self._database.write() as connection:
            insert_account(connection, account, self._clock())
            audit.note(connection, self._clock(), by, "org.create", detail=account.name)
            if owner is not None:
                self._set_member(connection, account.name, owner, OrgRole.ADMIN, by)
        return account

    def get(self, name: str) -> Account:
        """The account of this name in any case.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return find(connection, name)

    def list_accounts(self) -> list[Account]:
        """All accounts, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(accounts)).all()
        return [account_of(row) for row in sorted(rows, key=lambda row: row.key)]

    def is_empty(self) -> bool:
        """Whether nobody was ever created: the hub's first start."""
        with self._database.read() as connection:
            return not connection.execute(select(exists(select(accounts.c.key)))).scalar_one()

    def set_member(self, org: str, user: str, role: OrgRole, *, by: Actor | None = None) -> None:
        """Make `user` a member of `org` with this role, or change the role.

        Raises:
            NotFoundError: one of them does not exist, or is of the other kind.
        """
        with self._database.write() as connection:
            self._set_member(connection, org, user, role, by)

    def remove_member(self, org: str, user: str, *, by: Actor | None = None) -> None:
        """End a membership; nothing happens if there is none."""
        pair = (memberships.c.organisation == key_of(org)) & (memberships.c.member == key_of(user))
        with self._database.write() as connection:
            if connection.execute(delete(memberships).where(pair)).rowcount:
                now, detail = self._clock(), f"{key_of(org)}/{key_of(user)}"
                audit.note(connection, now, by, "member.remove", detail=detail)

    def members(self, org: str) -> list[tuple[Account, OrgRole]]:
        """Who belongs to an organisation, by name.

        Raises:
            NotFoundError: there is no such account.
        """
        query = (
            select(accounts, memberships.c.role)
            .join(memberships, memberships.c.member == accounts.c.key)
            .where(memberships.c.organisation == key_of(org))
        )
        with self._database.read() as connection:
            find(connection, org)
            rows = connection.execute(query).all()
        return [(account_of(r), OrgRole(r.role)) for r in sorted(rows, key=lambda r: r.key)]

    def organisations_of(self, user: str) -> dict[str, OrgRole]:
        """The organisations a user belongs to, by name; empty for an unknown user."""
        with self._database.read() as connection:
            return roles_of(connection, key_of(user))

    def _set_member(
        self, connection: Connection, org: str, user: str, role: OrgRole, by: Actor | None
    ) -> None:
        if not find(connection, org).is_org:
            raise NotFoundError(f"{org!r} is a user, not an organisation")
        if find(connection, user).is_org:
            raise NotFoundError(f"{user!r} is an organisation; only users can be members")
        pair = {"organisation": key_of(org), "member": key_of(user)}
        connection.execute(delete(memberships).filter_by(**pair))
        connection.execute(insert(memberships), pair | {"role": role.value})
        detail = f"{key_of(org)}/{key_of(user)} {role.value}"
        audit.note(connection, self._clock(), by, "member.set", detail=detail)


def insert_account(connection: Connection, account: Account, now: datetime) -> None:
    """Add an account in the caller's transaction.

    Raises:
        NamingError: the name breaks the rules.
        RequestError: full name or address hold what text cannot.
        ConflictError: a user or organisation has it, whatever the case, or it is reserved.
    """
    _allowed(account.name)
    if not all(map(storable, (account.full_name, account.email or ""))):
        raise RequestError("a name or address cannot hold NUL characters or lone surrogates")
    row = {
        "key": key_of(account.name),
        "name": account.name,
        "full_name": account.full_name,
        "email": account.email,
        "is_org": account.is_org,
        "is_admin": account.is_admin,
        "created_at": now,
    }
    if not insert_if_new(connection, accounts, row):
        raise ConflictError(f"the name {account.name!r} is taken; choose another")


def find(connection: Connection, name: str) -> Account:
    """The account of this name; NotFoundError if there is none."""
    query = select(accounts).where(accounts.c.key == key_of(name))
    row = connection.execute(query).one_or_none() if storable(name) else None
    if row is None:
        raise NotFoundError(f"there is no user or organisation named {name[:120]!r}")
    return account_of(row)


def _allowed(name: str) -> str:
    check_name(name)
    if key_of(name) in RESERVED:
        raise ConflictError(f"the name {name!r} is reserved by the hub; choose another")
    return name
