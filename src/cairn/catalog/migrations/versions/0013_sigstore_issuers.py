"""Who says whom a trusted Sigstore identity is."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keys and root certificates have no issuer of identities."""
    issuer = sa.Column("issuer", sa.Text(), nullable=False, server_default="")
    op.add_column("trusted_signers", issuer)


def downgrade() -> None:
    """Forget issuers; identities that had one are believed no more."""
    op.execute("DELETE FROM trusted_signers WHERE issuer <> ''")
    op.drop_column("trusted_signers", "issuer")
