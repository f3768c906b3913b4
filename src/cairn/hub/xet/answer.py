"""The answer to a client that asks whether a chunk is known: a shard without files.

    header    48 B : tag[32] | version u64 = 2 | footer size u64 = 200
    bookend   48 B                                                    (no files)
    xorbs          : repeat xorb hash[32] | flags u32 | chunks u32 | plain u32 | stored u32
                       chunks x { keyed hash[32] | start u32 | plain u32 | flags u32 | unused[4] }
    bookend   48 B
    footer   200 B : version u64 = 1 | offsets of files, xorbs u64
                     | offset, entries u64 of the file, xorb and chunk lookups
                     | key[32] | made u64 | expires u64 | unused[48]
                     | stored on disk, plain, stored bytes u64 | offset of the footer u64

A keyed hash is the keyed BLAKE3 of a chunk's name: whoever finds an answer in a client's cache
learns no names from it. Lookups are left out: each begins where the footer does and is empty.
Clients believe the offsets blindly, and a wrong one ends their process.

Specification: https://huggingface.co/docs/xet/shard; the footer's lookups from
https://github.com/huggingface/xet-core, `xet_core_structures/src/metadata_shard/shard_format.rs`.
"""

import struct
from collections.abc import Sequence

import numpy as np
from blake3 import blake3

from cairn.catalog import ChunkRun
from cairn.hub.xet.hashing import NAME_BYTES
from cairn.hub.xet.shard import BOOKEND, CHUNK, HEADER, RECORD_BYTES, SECTION, TAG, VERSION

_FOOTER = struct.Struct("<9Q32s2Q48x4Q")
_FOOTER_VERSION = 1


def answer(runs: Sequence[ChunkRun], key: bytes, made_s: int, expires_s: int) -> bytes:
    """The shard that tells a client about `runs`, each as a xorb.

    `key` has 32 bytes; both moments are Unix seconds. The same arguments give the same bytes,
    which clients keep once.
    """
    bookend = SECTION.pack(BOOKEND, 0, 0, 0, 0)
    xorbs = b"".join(_xorb(run, key) for run in runs)
    at_xorbs = 2 * RECORD_BYTES
    at_footer = at_xorbs + len(xorbs) + RECORD_BYTES
    plain_bytes = sum(_plain_bytes(run) for run in runs)
    footer = _FOOTER.pack(
        _FOOTER_VERSION,
        RECORD_BYTES,
        at_xorbs,
        *(at_footer, 0) * 3,
        key,
        made_s,
        expires_s,
        plain_bytes,
        0,  # no files that could be materialised
        plain_bytes,
        at_footer,
    )
    return b"".join([HEADER.pack(TAG, VERSION, len(footer)), bookend, xorbs, bookend, footer])


def _xorb(run: ChunkRun, key: bytes) -> bytes:
    records = np.zeros(run.chunks, CHUNK)
    keyed = b"".join(
        blake3(run.names[at : at + NAME_BYTES], key=key).digest()
        for at in range(0, len(run.names), NAME_BYTES)
    )
    records["name"] = np.frombuffer(keyed, np.uint8).reshape(-1, NAME_BYTES)
    records["plain"] = np.frombuffer(run.sizes, "<u4")
    records["at"][1:] = np.cumsum(records["plain"], dtype=np.uint32)[:-1]
    plain_bytes = _plain_bytes(run)
    return SECTION.pack(run.xorb, 0, run.chunks, plain_bytes, plain_bytes) + records.tobytes()


def _plain_bytes(run: ChunkRun) -> int:
    return int(np.frombuffer(run.sizes, "<u4").sum())
