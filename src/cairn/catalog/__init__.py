"""Who, which repo, which revision: the only room with SQL, on SQLite or PostgreSQL."""

from cairn.catalog.changes import Change, DeleteFile, DeleteFolder, PutFile
from cairn.catalog.comparisons import Asked, Trees
from cairn.catalog.opened import Catalog, open_catalog
from cairn.catalog.records import (
    AuditRecord,
    CardSummary,
    ChangeKind,
    ChunkKey,
    ChunkRun,
    ContentsSummary,
    Facets,
    FileChange,
    Location,
    RepoPage,
    RepoQuery,
    RepoRecord,
    SortKey,
    TokenRecord,
)

__all__ = [
    "Asked",
    "AuditRecord",
    "CardSummary",
    "Catalog",
    "Change",
    "ChangeKind",
    "ChunkKey",
    "ChunkRun",
    "ContentsSummary",
    "DeleteFile",
    "DeleteFolder",
    "Facets",
    "FileChange",
    "Location",
    "PutFile",
    "RepoPage",
    "RepoQuery",
    "RepoRecord",
    "SortKey",
    "TokenRecord",
    "Trees",
    "open_catalog",
]
