"""Who asked for, and who was given, the files of gated repos."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "access_requests",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("was_asked", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_access_requests_repo_repos", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["accounts.key"], name="fk_access_requests_person_accounts"
        ),
        sa.PrimaryKeyConstraint("repo", "person", name="pk_access_requests"),
        sa.UniqueConstraint("uid", name="uq_access_requests_uid"),
    )
    op.create_index("ix_access_requests_person", "access_requests", ["person"])
    op.create_index("ix_access_requests_state", "access_requests", ["repo", "state", "asked_at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_table("access_requests")
