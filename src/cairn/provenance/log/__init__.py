"""The transparency log: a Merkle tree of entries that is signed, mirrored and checked."""

from cairn.provenance.log.entries import (
    Hidden,
    Opening,
    decode,
    encode,
    hide,
    manifest_digest,
    reveal,
)
from cairn.provenance.log.following import (
    CHECKPOINT,
    LogFiles,
    SignedHead,
    check_all,
    check_begins_with,
    entries_of,
)
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.merkle import (
    HASH_BYTES,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_hash,
)
from cairn.provenance.log.mirror import Mirror
from cairn.provenance.log.notes import MAX_NOTE_BYTES, PrivateKey, PublicKey, note_text, open_note
from cairn.provenance.log.proofs import MAX_PROOF_BYTES, LogProof
from cairn.provenance.log.remembered import RememberedLogs
from cairn.provenance.log.signatory import Signatory
from cairn.provenance.log.tiles import (
    MAX_BUNDLE_BYTES,
    TILE_WIDTH,
    Tile,
    TiledTree,
    edge_tiles,
    entry_tiles,
    grown,
    hash_tiles,
    leaf_hashes,
    pack_entries,
    unpack_entries,
)

__all__ = [
    "CHECKPOINT",
    "HASH_BYTES",
    "Hidden",
    "LogFiles",
    "LogProof",
    "MAX_BUNDLE_BYTES",
    "MAX_NOTE_BYTES",
    "MAX_PROOF_BYTES",
    "Mirror",
    "Opening",
    "PrivateKey",
    "PublicKey",
    "RememberedLogs",
    "Signatory",
    "SignedHead",
    "TILE_WIDTH",
    "Tile",
    "TiledTree",
    "TreeHead",
    "check_all",
    "check_begins_with",
    "check_consistency",
    "check_inclusion",
    "consistency_proof",
    "decode",
    "edge_tiles",
    "encode",
    "entries_of",
    "entry_tiles",
    "grown",
    "hash_tiles",
    "hide",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "manifest_digest",
    "note_text",
    "open_note",
    "pack_entries",
    "reveal",
    "root_hash",
    "unpack_entries",
]
