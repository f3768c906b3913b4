"""When scans were judged, by which rules, and which verdicts that changed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a column and two tables."""
    op.add_column("blob_scans", sa.Column("judged_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "rule_sets",
        sa.Column("number", _SERIAL, nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("extraction", sa.Text(), nullable=False),
        sa.Column("announced_at", sa.BigInteger(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("busy_s", sa.Float(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_rule_sets"),
    )
    op.create_table(
        "verdict_changes",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_verdict_changes"),
    )
    op.create_index("ix_verdict_changes_digest", "verdict_changes", ["digest"])
    op.create_index("ix_verdict_changes_told_at", "verdict_changes", ["told_at", "id"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("verdict_changes")
    op.drop_table("rule_sets")
    op.drop_column("blob_scans", "judged_at")
