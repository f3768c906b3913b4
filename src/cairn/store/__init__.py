"""Keeps bytes under their digest; how a blob is kept is nobody else's business."""

from cairn.store.accounting import Sample
from cairn.store.blobs import BlobStore, open_local_store
from cairn.store.codec import Codec
from cairn.store.codecs import CODECS
from cairn.store.exporting import Export
from cairn.store.family_contents import FamilyContents
from cairn.store.family_file import FamilyFile, FamilyHead
from cairn.store.importing import Imported
from cairn.store.likely_bases import LikelyBase
from cairn.store.names import NamedBlob
from cairn.store.predictors import PREDICTORS
from cairn.store.profiles import FAST, PROFILES, SMALL, Profile
from cairn.store.reading import BlobReader
from cairn.store.results import (
    CodecShare,
    Collected,
    GroupShare,
    Optimized,
    StoreStats,
    Verification,
)
from cairn.store.rounds import PastRound, Round
from cairn.store.staging import Staging
from cairn.store.stock import Stock
from cairn.store.stopping import StoppedError
from cairn.store.writing import BlobWriter

__all__ = [
    "CODECS",
    "FAST",
    "PROFILES",
    "SMALL",
    "PREDICTORS",
    "BlobReader",
    "BlobStore",
    "BlobWriter",
    "Codec",
    "CodecShare",
    "Collected",
    "Export",
    "FamilyContents",
    "FamilyFile",
    "FamilyHead",
    "GroupShare",
    "Imported",
    "LikelyBase",
    "NamedBlob",
    "Optimized",
    "PastRound",
    "Profile",
    "Round",
    "Staging",
    "Sample",
    "Stock",
    "StoppedError",
    "StoreStats",
    "Verification",
    "open_local_store",
]
