"""The tables of what people decide about scans: policies, waivers, appeals."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import CASCADE, Serial, metadata, owning_repo

# What administrators decided for the whole hub in place of a setting, by the setting's name.
decided_settings = Table(
    "decided_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# `floor` is what administrators decided for a repo in place of the hub's policy, `wanted` what its
# owners want at least; the stricter of both holds.
scan_policies = Table(
    "scan_policies",
    metadata,
    owning_repo(),
    Column("floor", Text),
    Column("wanted", Text),
)

# Findings that administrators let pass: by file and rule, in one repo (its uid) or everywhere
# (NULL). No foreign key, and rows stay: they tell why something was given out. Only the columns
# of revoking are filled in later.
waivers = Table(
    "waivers",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("rule", Text, nullable=False),
    Column("repo", Text),
    Column("reason", Text, nullable=False),
    Column("waived_by", Text, nullable=False),
    Column("waived_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("revoked_by", Text),
    Column("revoke_reason", Text),
    Index("ix_waivers_digest", "digest", "rule"),
)

# What owners of repos say against verdicts, and what administrators answer.
appeals = Table(
    "appeals",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("repo", Text, ForeignKey("repos.uid", ondelete=CASCADE), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("answer", Text),
    Column("reason", Text),
    Column("answered_by", Text),
    Column("answered_at", Moment),
    Index("ix_appeals_repo", "repo", "digest"),
    Index("ix_appeals_answer", "answer", "id"),
)
