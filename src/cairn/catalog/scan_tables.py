"""The tables of scans; see `schema` for all others."""

from sqlalchemy import Column, LargeBinary, Table, Text

from cairn.catalog.schema import metadata

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
)
