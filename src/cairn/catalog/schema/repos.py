"""The tables of repos and what listings show of them."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, Serial, metadata, owning_repo

# `key` is `type/namespace/name` in lower case. What a listing filters and sorts by is here;
# what it only shows is in `descriptions`, so that scans touch short rows.
repos = Table(
    "repos",
    metadata,
    Column("id", Serial, primary_key=True),
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
    owning_repo(),
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
        ForeignKey("repos.id", ondelete=CASCADE),
        primary_key=True,
        index=True,
    ),
    sqlite_with_rowid=False,
)
