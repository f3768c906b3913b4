"""The tables of revisions: trees, commits, refs, and the blobs they hold."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, metadata, owning_repo

# Directories, shared by all repos; see `trees` for the payload and why `key` is not `oid`.
trees = Table(
    "trees",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
)

# `generation` counts the commits from the first one to this; `changed` is packed by `commits`.
commits = Table(
    "commits",
    metadata,
    owning_repo(),
    Column("id", Text, primary_key=True),
    Column("tree", LargeBinary, ForeignKey("trees.key"), nullable=False),
    Column("parent", Text),
    Column("generation", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("changed", LargeBinary, nullable=False),
)

# The foreign key is the promise that no ref ever dangles.
refs = Table(
    "refs",
    metadata,
    owning_repo(),
    Column("name", Text, primary_key=True),
    Column("commit", Text, nullable=False),
    ForeignKeyConstraint(["repo", "commit"], ["commits.repo", "commits.id"], ondelete=CASCADE),
)

# Every blob any revision of a repo has ever held.
repo_blobs = Table(
    "repo_blobs",
    metadata,
    owning_repo(),
    Column("digest", LargeBinary, primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Blobs a writer of the repo has really sent: the proof of possession a commit asks for.
uploads = Table(
    "uploads",
    metadata,
    owning_repo(),
    Column("digest", LargeBinary, primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("recorded_at", Moment, nullable=False, index=True),
    sqlite_with_rowid=False,
)
