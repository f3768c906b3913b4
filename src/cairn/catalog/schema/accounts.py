"""The tables of people, organisations and what they sign in with."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
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

# Access tokens; the secret is kept only as its SHA-256. Revoked rows stay. `grants` is JSON, of
# fine-grained ones: what they are for.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("grants", Text),
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

# The argon2id hash of a person's password, in the encoding of the reference implementation. A
# table of its own: whoever reads accounts never holds a hash. Without a row nobody signs in so.
passwords = Table(
    "passwords",
    metadata,
    Column("owner", Text, ForeignKey("accounts.key"), primary_key=True),
    Column("hash", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

# Who a person is at an OpenID provider: `subject` is the provider's name that never changes.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False, index=True),
    Column("shown_name", Text, nullable=False),
    Column("linked_at", Moment, nullable=False),
)

# Browser sessions, found by the SHA-256 of the cookie. One that a token opened is worth what the
# token is worth; `token` is null in the others.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False, index=True),
    Column("token", BigInteger, ForeignKey("tokens.id")),
    Column("way", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)

# Attempts to sign in that have failed or are under way, by the SHA-256 of who or whence; in
# windows that begin with the first attempt. In the database, so that all processes count alike.
attempts = Table(
    "attempts",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("ends_at", Moment, nullable=False, index=True),
)
