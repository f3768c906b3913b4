"""The tables of people, organisations and what they sign in with."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import Serial, metadata

# A person or an organisation; `key` is the name in lower case, one namespace for both.
accounts = Table(
    "accounts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("email", Text),
    Column("is_org", Boolean, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("organisation", Text, ForeignKey("accounts.key"), primary_key=True),
    Column("member", Text, ForeignKey("accounts.key"), primary_key=True, index=True),
    Column("role", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Access tokens; the secret is kept only as its SHA-256. Revoked rows stay.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("last_used_at", Moment),
    Column("revoked_at", Moment),
    Index(
        "uq_tokens_live_name",
        "owner",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

# Browser sessions, named by the SHA-256 of the cookie; worth what their token is worth.
sessions = Table(
    "sessions",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("token", BigInteger, ForeignKey("tokens.id"), nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)
