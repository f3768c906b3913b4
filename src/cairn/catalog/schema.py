"""Every table of the catalog, for SQLite and PostgreSQL alike.

The full-text table `repo_search` is missing here: it is FTS5 on one and a tsvector column
on the other, made by the migration and used only by `search_index`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from cairn.catalog.moments import Moment

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

# SQLite numbers rows by itself only in a column declared exactly INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")
_CASCADE = "CASCADE"


def _repo() -> Column[str]:
    """The owning repo; its rows go when it goes."""
    return Column(
        "repo", Text, ForeignKey("repos.uid", ondelete=_CASCADE), primary_key=True, nullable=False
    )


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
    Column("id", _Serial, primary_key=True),
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

# `key` is `type/namespace/name` in lower case. What a listing filters and sorts by is here;
# what it only shows is in `descriptions`, so that scans touch short rows.
repos = Table(
    "repos",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("key", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("gated", Text),
    Column("sdk", Text),
    Column("default_branch", Text, nullable=False),
    Column("head", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("downloads", BigInteger, nullable=False),
    Column("likes", BigInteger, nullable=False),
    Column("trending", Float, nullable=False),
    Column("pipeline_tag", Text),
    Column("library_name", Text),
    Column("license", Text),
    Column("describe_due", Boolean, nullable=False),
    Column("safetensors_views", Boolean),
    Index("ix_repos_updated", "type", "updated_at", "id"),
    Index("ix_repos_created", "type", "created_at", "id"),
    Index("ix_repos_downloads", "type", "downloads", "id"),
    Index("ix_repos_likes", "type", "likes", "id"),
    Index("ix_repos_trending", "type", "trending", "id"),
    Index("ix_repos_owner", "owner", "type"),
    Index("ix_repos_due", "describe_due", "updated_at"),
    # Each facet counted from its index alone, private repos of others left out.
    Index("ix_repos_pipeline_tag", "type", "pipeline_tag", "private", "owner"),
    Index("ix_repos_library_name", "type", "library_name", "private", "owner"),
    Index("ix_repos_license", "type", "license", "private", "owner"),
)

# What card and files of a repo say, written by the description job. Lists and maps are JSON.
descriptions = Table(
    "descriptions",
    metadata,
    _repo(),
    Column("tags", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("card_commit", Text),
    Column("parameters", Text),
    Column("formats", Text, nullable=False),
    Column("tensor_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("contents_commit", Text),
)

# Tags in lower case, with the pipeline tag, the library and `license:...` among them.
repo_tags = Table(
    "repo_tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column(
        "repo_id",
        BigInteger,
        ForeignKey("repos.id", ondelete=_CASCADE),
        primary_key=True,
        index=True,
    ),
    sqlite_with_rowid=False,
)

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
    _repo(),
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
    _repo(),
    Column("name", Text, primary_key=True),
    Column("commit", Text, nullable=False),
    ForeignKeyConstraint(["repo", "commit"], ["commits.repo", "commits.id"], ondelete=_CASCADE),
)

# Every blob any revision of a repo has ever held.
repo_blobs = Table(
    "repo_blobs",
    metadata,
    _repo(),
    Column("digest", LargeBinary, primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Blobs a writer of the repo has really sent: the proof of possession a commit asks for.
uploads = Table(
    "uploads",
    metadata,
    _repo(),
    Column("digest", LargeBinary, primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("recorded_at", Moment, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Append-only: triggers refuse UPDATE and DELETE. No foreign keys: rows outlive their subjects.
audit = Table(
    "audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("repo", Text),
    Column("detail", Text, nullable=False),
)

# What was measured of the tensors in a blob: zlib-compressed text. No foreign key: it is about
# bytes, whoever has them.
blob_health = Table(
    "blob_health",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("schema", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# Two trees whose tensors somebody wants compared, and what was found: zlib-compressed text.
# Neither content nor failure: it waits. No repo is named: trees are shared by all.
comparisons = Table(
    "comparisons",
    metadata,
    Column("before", LargeBinary, primary_key=True),
    Column("after", LargeBinary, primary_key=True),
    Column("schema", Integer, nullable=False),
    Column("asked_at", Moment, nullable=False, index=True),
    Column("done_bytes", BigInteger, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("content", LargeBinary),
    Column("failure", Text),
)

# Which chunks a Xet client cut a blob into. No foreign key: it is about bytes, whoever has them.
chunk_lists = Table(
    "chunk_lists",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("chunks", Integer, nullable=False),
    Column("used_at", Moment, nullable=False, index=True),
)


def _listed(*, index: bool = False) -> Column[bytes]:
    """The blob whose list this is part of; it goes with the list."""
    return Column(
        "digest",
        LargeBinary,
        ForeignKey("chunk_lists.digest", ondelete=_CASCADE),
        primary_key=True,
        nullable=False,
        index=index,
    )


# Consecutive chunks: 32 bytes of name each, four little-endian bytes of size each.
# `xorb` is what their tree hashes to.
chunk_runs = Table(
    "chunk_runs",
    metadata,
    _listed(),
    Column("first_byte", BigInteger, primary_key=True),
    Column("xorb", LargeBinary, nullable=False, index=True),
    Column("names", LargeBinary, nullable=False),
    Column("sizes", LargeBinary, nullable=False),
)

# The chunks by which a list is found; `first_byte` is that of the chunk's run.
chunk_keys = Table(
    "chunk_keys",
    metadata,
    Column("chunk", LargeBinary, primary_key=True),
    _listed(index=True),
    Column("first_byte", BigInteger, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# The most bytes a namespace may have, by measure; NULL: no limit. No row: the hub's default.
quotas = Table(
    "quotas",
    metadata,
    Column("owner", Text, ForeignKey("accounts.key"), primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("max_bytes", BigInteger),
)

# What the blobs of each namespace took on disk when that was counted last.
stored_counts = Table(
    "stored_counts",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("counted_at", Moment, nullable=False),
)

# What is not in the transparency log yet. No foreign keys: it tells of repos that are gone, too.
log_waiting = Table(
    "log_waiting",
    metadata,
    Column("id", _Serial, primary_key=True),
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
attachments = Table(
    "attachments",
    metadata,
    _repo(),
    Column("commit", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sender", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    ForeignKeyConstraint(["repo", "commit"], ["commits.repo", "commits.id"], ondelete=_CASCADE),
)

# Keys and root certificates that may sign; an empty owner: in every namespace.
trusted_signers = Table(
    "trusted_signers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("pem", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
)
