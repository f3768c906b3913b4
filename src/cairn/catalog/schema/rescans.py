"""The tables of judging anew: which rules hold, and which verdicts they changed."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import Serial, metadata

# Which rules and extractors workers brought along, in the order they came: the last row holds.
# `judged` scans took `busy_s` seconds so far; who is `holder` may go on alone until `held_until`.
rule_sets = Table(
    "rule_sets",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("rules", Text, nullable=False),
    Column("extraction", Text, nullable=False),
    Column("announced_at", Moment, nullable=False),
    Column("judged", Integer, nullable=False),
    Column("busy_s", Float, nullable=False),
    Column("holder", Text),
    Column("held_until", Moment),
)

# Scans whose verdict became another one. No foreign key: it is about bytes, whoever has them.
# Rows are added; only `told_at` is filled in, when owners of repos know.
verdict_changes = Table(
    "verdict_changes",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("digest", LargeBinary, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("told_at", Moment),
    Index("ix_verdict_changes_told_at", "told_at", "id"),
)
