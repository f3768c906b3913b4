"""Signed statements about revisions, and who is believed to sign."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "attachments",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_attachments_repo_repos", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repo", "commit"],
            ["commits.repo", "commits.id"],
            name="fk_attachments_repo_commits",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repo", "commit", "digest", name="pk_attachments"),
    )
    op.create_table(
        "trusted_signers",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name="pk_trusted_signers"),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("trusted_signers")
    op.drop_table("attachments")
