"""The nouns: frozen, valid by construction, standard library only.

Each module of them is imported when one of its nouns is first asked for: making the classes of
all takes longer than most commands have to do.
"""

from typing import TYPE_CHECKING

from cairn.late_names import imported_late

if TYPE_CHECKING:
    from cairn.domain.accounts import (
        ANONYMOUS,
        AccessState,
        Account,
        Actor,
        Grant,
        OrgRole,
        Permission,
        Scope,
    )
    from cairn.domain.advisories import Advisory, AffectedRange, KnownFile, LoaderFloor
    from cairn.domain.architectures import Architecture, Fact, Module, Scalar
    from cairn.domain.checkpoints import Assembly, Checkpoint, Completeness, Part
    from cairn.domain.comparison import Comparison, RankEstimate
    from cairn.domain.digests import Blob, Digest
    from cairn.domain.log import LogEvent, LogKind
    from cairn.domain.quotas import NO_QUOTA, Measure, Quota, Usage
    from cairn.domain.repos import (
        Directory,
        Entry,
        Manifest,
        Ref,
        RepoId,
        RepoType,
        Revision,
        check_name,
        check_path,
        check_ref_name,
        is_commit_id,
    )
    from cairn.domain.retention import Retention
    from cairn.domain.runs import (
        BaseModel,
        MetricPoint,
        RecipeKind,
        RunOrders,
        RunRecord,
        RunStatus,
        TrainingData,
        TrainingRecipe,
        TrainingSession,
    )
    from cairn.domain.scan_policies import ScanPolicy
    from cairn.domain.scanning import FileReport, Finding, Place, ScanReport, Verdict
    from cairn.domain.sources import Source
    from cairn.domain.statistics import Histogram, Octave, Spectrum, TensorStatistics, Trouble
    from cairn.domain.tensors import DType, Layout, Piece, Role, Span, Storage, TensorInfo

__all__ = [
    "ANONYMOUS",
    "AccessState",
    "Account",
    "Actor",
    "Architecture",
    "Assembly",
    "Blob",
    "Checkpoint",
    "Comparison",
    "Completeness",
    "DType",
    "Digest",
    "Directory",
    "Entry",
    "Fact",
    "FileReport",
    "Finding",
    "Histogram",
    "Layout",
    "LogEvent",
    "LogKind",
    "Manifest",
    "Measure",
    "Module",
    "NO_QUOTA",
    "Octave",
    "Grant",
    "OrgRole",
    "Permission",
    "Part",
    "Piece",
    "Place",
    "Quota",
    "RankEstimate",
    "Ref",
    "RepoId",
    "RepoType",
    "Retention",
    "Revision",
    "Role",
    "Scalar",
    "ScanPolicy",
    "ScanReport",
    "Scope",
    "Source",
    "Span",
    "Spectrum",
    "Storage",
    "TensorInfo",
    "TensorStatistics",
    "Trouble",
    "Usage",
    "Verdict",
    "check_name",
    "check_path",
    "check_ref_name",
    "is_commit_id",
    "Advisory",
    "AffectedRange",
    "KnownFile",
    "LoaderFloor",
    "BaseModel",
    "MetricPoint",
    "RecipeKind",
    "RunOrders",
    "RunRecord",
    "RunStatus",
    "TrainingData",
    "TrainingRecipe",
    "TrainingSession",
]

__getattr__ = imported_late(
    __name__,
    {
        "accounts": (
            "ANONYMOUS",
            "AccessState",
            "Account",
            "Actor",
            "Grant",
            "OrgRole",
            "Permission",
            "Scope",
        ),
        "advisories": ("Advisory", "AffectedRange", "KnownFile", "LoaderFloor"),
        "architectures": ("Architecture", "Fact", "Module", "Scalar"),
        "checkpoints": ("Assembly", "Checkpoint", "Completeness", "Part"),
        "comparison": ("Comparison", "RankEstimate"),
        "digests": ("Blob", "Digest"),
        "log": ("LogEvent", "LogKind"),
        "quotas": ("NO_QUOTA", "Measure", "Quota", "Usage"),
        "repos": (
            "Directory",
            "Entry",
            "Manifest",
            "Ref",
            "RepoId",
            "RepoType",
            "Revision",
            "check_name",
            "check_path",
            "check_ref_name",
            "is_commit_id",
        ),
        "retention": ("Retention",),
        "runs": (
            "BaseModel",
            "MetricPoint",
            "RecipeKind",
            "RunOrders",
            "RunRecord",
            "RunStatus",
            "TrainingData",
            "TrainingRecipe",
            "TrainingSession",
        ),
        "scan_policies": ("ScanPolicy",),
        "scanning": ("FileReport", "Finding", "Place", "ScanReport", "Verdict"),
        "sources": ("Source",),
        "statistics": ("Histogram", "Octave", "Spectrum", "TensorStatistics", "Trouble"),
        "tensors": ("DType", "Layout", "Piece", "Role", "Span", "Storage", "TensorInfo"),
    },
)
