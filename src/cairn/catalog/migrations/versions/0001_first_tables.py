"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FTS5 = """
CREATE VIRTUAL TABLE repo_search USING fts5(
    words, tokenize = "unicode61 remove_diacritics 0", prefix = '2 3'
)
"""
_TSVECTOR = """
CREATE TABLE repo_search (
    id BIGINT PRIMARY KEY REFERENCES repos (id) ON DELETE CASCADE,
    words TSVECTOR NOT NULL
)
"""
_TSVECTOR_INDEX = "CREATE INDEX ix_repo_search_words ON repo_search USING gin (words)"
_KEEP_AUDIT_SQLITE = """
CREATE TRIGGER audit_keep_{verb} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
"""
_REFUSE_POSTGRES = """
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit rows are never changed'; END $$
"""
_KEEP_AUDIT_POSTGRES = """
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_keep()
"""


def upgrade() -> None:
    """Create everything."""
    _create_accounts()
    _create_repos()
    _create_history()
    _create_audit()
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_FTS5)
        op.execute(_KEEP_AUDIT_SQLITE.format(verb="UPDATE"))
        op.execute(_KEEP_AUDIT_SQLITE.format(verb="DELETE"))
    else:
        op.execute(_TSVECTOR)
        op.execute(_TSVECTOR_INDEX)
        op.execute(_REFUSE_POSTGRES)
        op.execute(_KEEP_AUDIT_POSTGRES)


def downgrade() -> None:
    """Drop everything."""
    op.drop_table("repo_search")
    for table in (
        "audit",
        "uploads",
        "repo_blobs",
        "refs",
        "commits",
        "trees",
        "repo_tags",
        "descriptions",
        "repos",
        "sessions",
        "tokens",
        "memberships",
        "accounts",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_keep")


def _serial() -> sa.types.TypeEngine[int]:
    """SQLite numbers rows by itself only in a column declared exactly INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_accounts() -> None:
    """People, organisations and what they sign in with."""
    op.create_table(
        "accounts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("is_org", sa.Boolean(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_accounts"),
    )
    op.create_table(
        "memberships",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["member"], ["accounts.key"], name="fk_memberships_member"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["accounts.key"], name="fk_memberships_organisation"
        ),
        sa.PrimaryKeyConstraint("organisation", "member", name="pk_memberships"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_memberships_member", "memberships", ["member"])
    op.create_table(
        "tokens",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["owner"], ["accounts.key"], name="fk_tokens_owner"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
    op.create_index(
        "uq_tokens_live_name",
        "tokens",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["token"], ["tokens.id"], name="fk_sessions_token"),
        sa.PrimaryKeyConstraint("hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _create_repos() -> None:
    """Repos and what is said about them."""
    op.create_table(
        "repos",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("gated", sa.Text()),
        sa.Column("sdk", sa.Text()),
        sa.Column("default_branch", sa.Text(), nullable=False),
        sa.Column("head", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("downloads", sa.BigInteger(), nullable=False),
        sa.Column("likes", sa.BigInteger(), nullable=False),
        sa.Column("trending", sa.Float(), nullable=False),
        sa.Column("pipeline_tag", sa.Text()),
        sa.Column("library_name", sa.Text()),
        sa.Column("license", sa.Text()),
        sa.Column("describe_due", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["accounts.key"], name="fk_repos_owner"),
        sa.PrimaryKeyConstraint("id", name="pk_repos"),
        sa.UniqueConstraint("key", name="uq_repos_key"),
        sa.UniqueConstraint("uid", name="uq_repos_uid"),
    )
    op.create_index("ix_repos_created", "repos", ["type", "created_at", "id"])
    op.create_index("ix_repos_downloads", "repos", ["type", "downloads", "id"])
    op.create_index("ix_repos_due", "repos", ["describe_due", "updated_at"])
    op.create_index("ix_repos_library_name", "repos", ["type", "library_name", "private", "owner"])
    op.create_index("ix_repos_license", "repos", ["type", "license", "private", "owner"])
    op.create_index("ix_repos_likes", "repos", ["type", "likes", "id"])
    op.create_index("ix_repos_owner", "repos", ["owner", "type"])
    op.create_index("ix_repos_pipeline_tag", "repos", ["type", "pipeline_tag", "private", "owner"])
    op.create_index("ix_repos_trending", "repos", ["type", "trending", "id"])
    op.create_index("ix_repos_updated", "repos", ["type", "updated_at", "id"])
    op.create_table(
        "descriptions",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("card_commit", sa.Text()),
        sa.Column("parameters", sa.Text()),
        sa.Column("formats", sa.Text(), nullable=False),
        sa.Column("tensor_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("contents_commit", sa.Text()),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_descriptions_repo", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repo", name="pk_descriptions"),
    )
    op.create_table(
        "repo_tags",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("repo_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo_id"], ["repos.id"], name="fk_repo_tags_repo_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tag", "repo_id", name="pk_repo_tags"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_repo_tags_repo_id", "repo_tags", ["repo_id"])


def _create_history() -> None:
    """Trees, commits and refs, and the blobs they need."""
    op.create_table(
        "trees",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_trees"),
    )
    op.create_table(
        "commits",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tree", sa.LargeBinary(), nullable=False),
        sa.Column("parent", sa.Text()),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("changed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_commits_repo", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tree"], ["trees.key"], name="fk_commits_tree"),
        sa.PrimaryKeyConstraint("repo", "id", name="pk_commits"),
    )
    op.create_table(
        "refs",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo", "commit"],
            ["commits.repo", "commits.id"],
            name="fk_refs_repo_commit",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["repo"], ["repos.uid"], name="fk_refs_repo", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repo", "name", name="pk_refs"),
    )
    op.create_table(
        "repo_blobs",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_repo_blobs_repo", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repo", "digest", name="pk_repo_blobs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_repo_blobs_digest", "repo_blobs", ["digest"])
    op.create_table(
        "uploads",
        sa.Column("repo", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["repos.uid"], name="fk_uploads_repo", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repo", "digest", name="pk_uploads"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_uploads_digest", "uploads", ["digest"])
    op.create_index("ix_uploads_recorded_at", "uploads", ["recorded_at"])


def _create_audit() -> None:
    """The audit trail."""
    op.create_table(
        "audit",
        sa.Column("id", _serial(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("repo", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
