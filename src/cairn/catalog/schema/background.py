"""The table of background work: what each lane of each process is at."""

from sqlalchemy import Column, Table, Text

from cairn.catalog.moments import Moment
from cairn.catalog.schema.base import metadata

# A lane that did not advance by `due_at` hangs. `seen_at` is written every some seconds for as long
# as the process lives; rows go when it ends, and some time after it was killed.
lanes = Table(
    "lanes",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("lane", Text, primary_key=True),
    Column("step", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("advanced_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)
