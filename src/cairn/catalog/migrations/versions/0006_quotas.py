"""What namespaces may keep, and what they took on disk when that was counted last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "quotas",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["owner"], ["accounts.key"], name="fk_quotas_owner_accounts"),
        sa.PrimaryKeyConstraint("owner", "measure", name="pk_quotas"),
    )
    op.create_table(
        "stored_counts",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_stored_counts"),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("stored_counts")
    op.drop_table("quotas")
