"""The tables of what a namespace may have, and has."""

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import metadata

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
