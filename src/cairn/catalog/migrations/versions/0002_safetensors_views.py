"""Whether a repo's owner has switched safetensors views on or off."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has said anything yet."""
    op.add_column("repos", sa.Column("safetensors_views", sa.Boolean()))


def downgrade() -> None:
    """Forget what owners said."""
    op.drop_column("repos", "safetensors_views")
