"""The tables of the chunks that Xet clients cut blobs into."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, metadata

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
        ForeignKey("chunk_lists.digest", ondelete=CASCADE),
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
