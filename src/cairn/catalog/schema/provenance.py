"""The tables of proof: audit, transparency log, signatures and who may sign."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, Serial, metadata, owning_repo

# Append-only: triggers refuse UPDATE and DELETE. No foreign keys: rows outlive their subjects.
audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("repo", Text),
    Column("detail", Text, nullable=False),
)

# What is not in the transparency log yet. No foreign keys: it tells of repos that are gone, too.
log_waiting = Table(
    "log_waiting",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("repo", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("tree", LargeBinary),
    Column("kind", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("ref", Text),
    Column("old", Text),
    Column("new", Text),
    Column("details", Text, nullable=False),
)

# Append-only: triggers refuse UPDATE and DELETE. `entry` is what is hashed; `salt` and `content`
# open it for who may read the repo; the other columns are there to find it.
log_entries = Table(
    "log_entries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("repo", Text, nullable=False),
    Column("ref", Text),
    Column("commit", Text),
    Column("entry", LargeBinary, nullable=False),
    Column("salt", LargeBinary),
    Column("content", LargeBinary),
    Index("ix_log_entries_commit", "repo", "commit"),
    Index("ix_log_entries_ref", "repo", "ref", "number"),
)

# Up to 256 hashes of 32 bytes: full tiles never change, the last of a level gets longer.
log_tiles = Table(
    "log_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

# Signed statements about revisions: zlib-compressed bundles. Rows are added and never changed.
# `sender` is an account, or `elsewhere/` and the name of one of the hub it was imported from.
attachments = Table(
    "attachments",
    metadata,
    owning_repo(),
    Column("commit", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sender", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    ForeignKeyConstraint(["repo", "commit"], ["commits.repo", "commits.id"], ondelete=CASCADE),
)

# Who may sign: `pem` is a key, a root certificate, or a Sigstore trusted root (JSON), which alone
# has an issuer of identities. An empty owner: in every namespace.
trusted_signers = Table(
    "trusted_signers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("pem", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("issuer", Text, nullable=False, server_default=""),
    Column("added_at", Moment, nullable=False),
)
