"""Who, which repo, which revision: the only room with SQL, on SQLite or PostgreSQL."""

from cairn.catalog.arrivals import Arrival
from cairn.catalog.blob_scans import KeptScan, Named, scanned_name
from cairn.catalog.changes import Change, DeleteFile, DeleteFolder, PutFile
from cairn.catalog.comparisons import Asked, Comparisons, Trees
from cairn.catalog.decided import AccessRequest, Answers, Appeal, RepoPolicy, Waiver
from cairn.catalog.drafted_history import DraftedHistory
from cairn.catalog.holdings import Holding
from cairn.catalog.lanes import LaneBeat
from cairn.catalog.logbook import Logged, WaitingEvent
from cairn.catalog.opened import Catalog, open_catalog
from cairn.catalog.past_commits import PastCommit
from cairn.catalog.records import (
    Attachment,
    AuditRecord,
    CardSummary,
    ChangeKind,
    ChunkKey,
    ChunkRun,
    ContentsSummary,
    Facets,
    FileChange,
    Location,
    Notification,
    RepoPage,
    RepoQuery,
    RepoRecord,
    SessionRecord,
    SortKey,
    TokenRecord,
    TrustedSigner,
)
from cairn.catalog.rule_sets import RuleSet
from cairn.catalog.sign_in_rules import SignInRules
from cairn.catalog.verdict_changes import VerdictChange

__all__ = [
    "AccessRequest",
    "Answers",
    "Appeal",
    "Arrival",
    "Asked",
    "Attachment",
    "AuditRecord",
    "CardSummary",
    "Catalog",
    "Change",
    "ChangeKind",
    "ChunkKey",
    "ChunkRun",
    "Comparisons",
    "ContentsSummary",
    "DeleteFile",
    "DeleteFolder",
    "DraftedHistory",
    "Facets",
    "FileChange",
    "Holding",
    "KeptScan",
    "LaneBeat",
    "Location",
    "Named",
    "Logged",
    "Notification",
    "PastCommit",
    "PutFile",
    "RepoPage",
    "RepoPolicy",
    "RepoQuery",
    "RepoRecord",
    "RuleSet",
    "SessionRecord",
    "SignInRules",
    "SortKey",
    "TokenRecord",
    "Trees",
    "TrustedSigner",
    "VerdictChange",
    "WaitingEvent",
    "Waiver",
    "open_catalog",
    "scanned_name",
]
