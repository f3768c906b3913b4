"""What the tensors in a blob are like."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "blob_health",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_blob_health"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("blob_health")
