"""The table of who asked for, and who was given, the files of gated repos."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, metadata

# One row for a person and a repo, whatever became of it. `answers` is JSON: what the form of the
# repo's card asked. `decided_*` tell of the last decision by a person; the hub's own at once, where
# the gate is `auto`, is none. `was_asked`: false for who was let in without having asked.
access_requests = Table(
    "access_requests",
    metadata,
    Column("repo", Text, ForeignKey("repos.uid", ondelete=CASCADE), primary_key=True),
    Column("person", Text, ForeignKey("accounts.key"), primary_key=True, index=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("was_asked", Boolean, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("message", Text, nullable=False),
    Column("answers", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Moment),
    Column("reason", Text, nullable=False),
    Index("ix_access_requests_state", "repo", "state", "asked_at"),
)
