"""The transparency log: a Merkle tree of entries that is signed, mirrored and checked."""

from cairn.provenance.log.cosignatures import (
    WITNESSED,
    Cosignature,
    cosignatures,
    merge,
    witness_key,
    witness_request,
)
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
from cairn.provenance.log.log_keys import KEYS, MAX_KEYS_BYTES, NEW, OLD, Handover, LogKeys
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
from cairn.provenance.log.signatory import Announced, Signatory
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
    "Announced",
    "CHECKPOINT",
    "Cosignature",
    "HASH_BYTES",
    "Handover",
    "Hidden",
    "KEYS",
    "LogFiles",
    "LogKeys",
    "LogProof",
    "MAX_BUNDLE_BYTES",
    "MAX_KEYS_BYTES",
    "MAX_NOTE_BYTES",
    "MAX_PROOF_BYTES",
    "Mirror",
    "NEW",
    "OLD",
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
    "WITNESSED",
    "check_all",
    "check_begins_with",
    "check_consistency",
    "check_inclusion",
    "consistency_proof",
    "cosignatures",
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
    "merge",
    "note_text",
    "open_note",
    "pack_entries",
    "reveal",
    "root_hash",
    "unpack_entries",
    "witness_key",
    "witness_request",
]
