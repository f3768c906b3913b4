"""The transparency log: what waits for it, its entries, its tiles."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEEP_SQLITE = """
CREATE TRIGGER log_entries_keep_{verb} BEFORE {verb} ON log_entries
BEGIN SELECT RAISE(ABORT, 'log entries are never changed'); END
"""
_REFUSE_POSTGRES = """
CREATE FUNCTION log_entries_keep() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'log entries are never changed'; END $$
"""
_KEEP_POSTGRES = """
CREATE TRIGGER log_entries_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON log_entries
FOR EACH STATEMENT EXECUTE FUNCTION log_entries_keep()
"""


def upgrade() -> None:
    """Add the tables. What is there already is found by the first start."""
    op.create_table(
        "log_waiting",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("tree", sa.LargeBinary(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_waiting"),
    )
    op.create_table(
        "log_entries",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("commit", sa.Text(), nullable=True),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_log_entries"),
    )
    op.create_index("ix_log_entries_commit", "log_entries", ["repo", "commit"])
    op.create_index("ix_log_entries_ref", "log_entries", ["repo", "ref", "number"])
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_log_tiles"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_KEEP_SQLITE.format(verb="UPDATE"))
        op.execute(_KEEP_SQLITE.format(verb="DELETE"))
    else:
        op.execute(_REFUSE_POSTGRES)
        op.execute(_KEEP_POSTGRES)


def downgrade() -> None:
    """Take them away."""
    for table in ("log_tiles", "log_entries", "log_waiting"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION log_entries_keep")


def _serial() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
