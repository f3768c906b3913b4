"""Which chunks Xet clients cut blobs into."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "chunk_lists",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_chunk_lists"),
    )
    op.create_index("ix_chunk_lists_used_at", "chunk_lists", ["used_at"])
    op.create_table(
        "chunk_runs",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("first_byte", sa.BigInteger(), nullable=False),
        sa.Column("xorb", sa.LargeBinary(), nullable=False),
        sa.Column("names", sa.LargeBinary(), nullable=False),
        sa.Column("sizes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["chunk_lists.digest"],
            name="fk_chunk_runs_digest_chunk_lists",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", "first_byte", name="pk_chunk_runs"),
    )
    op.create_index("ix_chunk_runs_xorb", "chunk_runs", ["xorb"])
    op.create_table(
        "chunk_keys",
        sa.Column("chunk", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("first_byte", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["chunk_lists.digest"],
            name="fk_chunk_keys_digest_chunk_lists",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("chunk", "digest", name="pk_chunk_keys"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_chunk_keys_digest", "chunk_keys", ["digest"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("chunk_keys")
    op.drop_table("chunk_runs")
    op.drop_table("chunk_lists")
