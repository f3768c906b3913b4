"""Every blob is read again under all its names, those from before they were noted among them."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Have what is kept of scans made anew; verdicts stand until then.

    Only the history of each repo says under which names blobs came before these were noted. The
    background reads it when a blob is due, a few at a time; a migration must not.
    """
    op.create_index("ix_blob_scans_extraction", "blob_scans", ["extraction", "digest"])
    op.execute(sa.text("UPDATE blob_scans SET extraction = ''"))


def downgrade() -> None:
    """Take the index away."""
    op.drop_index("ix_blob_scans_extraction", "blob_scans")
