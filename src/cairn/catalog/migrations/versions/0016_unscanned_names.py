"""Names that files came by and were not scanned under yet."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. Names from before are those that blobs are scanned under when first read."""
    op.create_table(
        "unscanned_names",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "name", name="pk_unscanned_names"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("unscanned_names")
