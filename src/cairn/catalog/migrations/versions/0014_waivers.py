"""What people decide about scans: policies, waivers, appeals."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "scan_policies",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("floor", sa.Text()),
        sa.Column("wanted", sa.Text()),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_scan_policies_repo_repos", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repo", name="pk_scan_policies"),
    )
    op.create_table(
        "waivers",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("repo", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("waived_by", sa.Text(), nullable=False),
        sa.Column("waived_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("revoked_by", sa.Text()),
        sa.Column("revoke_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_waivers"),
    )
    op.create_index("ix_waivers_digest", "waivers", ["digest", "rule"])
    op.create_table(
        "appeals",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("answered_by", sa.Text()),
        sa.Column("answered_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_appeals_repo_repos", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_appeals"),
    )
    op.create_index("ix_appeals_repo", "appeals", ["repo", "digest"])
    op.create_index("ix_appeals_answer", "appeals", ["answer", "id"])


def downgrade() -> None:
    """Take them away."""
    for name in ("appeals", "waivers", "scan_policies"):
        op.drop_table(name)


def _serial() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
