"""The tables of what is known about bytes, whoever has them."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import metadata

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
def _asked(name: str) -> Table:
    return Table(
        name,
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


comparisons = _asked("comparisons")

# What is odd about how the weights of one tree became those of another, kept in the same way.
weight_reports = _asked("weight_reports")

# What scans found in blobs under the names they have: zlib-compressed evidence, and what the last
# rules said of it. No foreign key: it is about bytes, whoever has them.
blob_scans = Table(
    "blob_scans",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("extraction", Text, nullable=False),
    Column("rules", Text, nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("judged_at", Moment),
    Index("ix_blob_scans_extraction", "extraction", "digest"),
)

# Names by which commits brought blobs, until they are scanned under these: a loader takes a file
# for what its name says. Noted with the commit, so that no name is forgotten.
unscanned_names = Table(
    "unscanned_names",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("name", Text, primary_key=True),
)
