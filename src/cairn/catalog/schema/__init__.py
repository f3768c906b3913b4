"""Every table of the catalog, for SQLite and PostgreSQL alike.

The full-text table `repo_search` is missing here: it is FTS5 on one and a tsvector column
on the other, made by the migration and used only by `search_index`.
"""

from cairn.catalog.schema.access import access_requests
from cairn.catalog.schema.accounts import (
    accounts,
    attempts,
    identities,
    memberships,
    passwords,
    sessions,
    tokens,
)
from cairn.catalog.schema.background import lanes
from cairn.catalog.schema.base import metadata
from cairn.catalog.schema.blobs import (
    blob_health,
    blob_scans,
    comparisons,
    unscanned_names,
    weight_reports,
)
from cairn.catalog.schema.chunks import chunk_keys, chunk_lists, chunk_runs
from cairn.catalog.schema.history import commits, refs, repo_blobs, trees, uploads
from cairn.catalog.schema.namespaces import quotas, stored_counts
from cairn.catalog.schema.people import notifications
from cairn.catalog.schema.provenance import (
    attachments,
    audit,
    log_entries,
    log_tiles,
    log_waiting,
    trusted_signers,
)
from cairn.catalog.schema.repos import descriptions, repo_tags, repos
from cairn.catalog.schema.rescans import rule_sets, verdict_changes
from cairn.catalog.schema.verdicts import appeals, decided_settings, scan_policies, waivers

__all__ = [
    "access_requests",
    "accounts",
    "appeals",
    "attachments",
    "attempts",
    "audit",
    "blob_health",
    "blob_scans",
    "chunk_keys",
    "chunk_lists",
    "chunk_runs",
    "commits",
    "comparisons",
    "decided_settings",
    "descriptions",
    "identities",
    "lanes",
    "log_entries",
    "log_tiles",
    "log_waiting",
    "memberships",
    "metadata",
    "notifications",
    "passwords",
    "quotas",
    "refs",
    "repo_blobs",
    "repo_tags",
    "repos",
    "rule_sets",
    "scan_policies",
    "sessions",
    "stored_counts",
    "tokens",
    "trees",
    "trusted_signers",
    "unscanned_names",
    "uploads",
    "verdict_changes",
    "waivers",
    "weight_reports",
]
