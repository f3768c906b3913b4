"""The tables of what people are told."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import Serial, metadata

# What happened that somebody should know of. `repo` is the uid of the repo that it is about,
# without a foreign key: it is told of repos that are gone, too.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("owner", Text, ForeignKey("accounts.key"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", Text, nullable=False),
    Column("repo", Text),
    Column("text", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("read_at", Moment),
    Index("ix_notifications_owner", "owner", "id"),
)
