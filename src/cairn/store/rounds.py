"""How far the reading back of the whole store has come: object `round`, version 1.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNRND` |
| 8 | 8 | u32 version, 1; u32 zero |
| 16 | 32 | SHA-256 of the last blob read, in the order of digests; zeros: none yet |
| 48 | 8 | u64 when the round began |
| 56 | 8 | u64 when its last blob was read; 0: none yet |
| 64 | 16 | u64 blobs, u64 plain bytes read in it |
| 80 | 16 | u64 when the round before it began, u64 when that ended; 0: there is none |
| 96 | 16 | u64 blobs, u64 plain bytes read in that |
| 112 | 32 | BLAKE3-256 of everything before |

Integers are little-endian, times microseconds since 1970. Digests are spread evenly, so a place in
their order is a share of the blobs, and whoever reads in that order reads first what was
read longest ago, with one small object to remember it by.
"""

import struct
from dataclasses import dataclass

from blake3 import blake3

from cairn.domain import Digest
from cairn.errors import IntegrityError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import read_all, replace_bytes
from cairn.store.holdings import digests_under
from cairn.store.keys import RAW, RECIPES, ROUND

VERSION = 1
_MAGIC = b"CAIRNRND"
_BODY = struct.Struct("<8sII32s8Q")
_CHECK_BYTES = 32
_NOWHERE = bytes(32)


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round that came to its end. Times are Unix microseconds, bytes plain ones."""

    began_us: int
    ended_us: int
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Round:
    """A round under way: blobs up to the SHA-256 `position` were read (empty: none yet).

    Times are Unix microseconds, `last_us` that of the last blob read (0: none yet).
    """

    began_us: int
    position: bytes = b""
    last_us: int = 0
    blobs: int = 0
    bytes: int = 0
    before: PastRound | None = None

    @property
    def share(self) -> float:
        """About how much of the store was read, 0 to 1."""
        return int.from_bytes(self.position[:8], "big") / 2**64


class Rounds:
    """The rounds of one store, whichever process reads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get(self) -> Round | None:
        """The round under way; None if none was begun, or its record is damaged."""
        try:
            return parse_round(read_all(self._backend, ROUND))
        except (ObjectNotFoundError, IntegrityError):
            return None

    def put(self, current: Round) -> None:
        """Durably remember how far a round has come."""
        replace_bytes(self._backend, ROUND, encode_round(current))

    def blobs_between(self, after: bytes, upto: bytes) -> list[Digest]:
        """The store's blobs with a SHA-256 behind `after` and not behind `upto`, in order."""
        first = after[0] if after else 0
        found = {
            digest
            for shard in range(first, upto[0] + 1)
            for prefix in (RAW, RECIPES)
            for digest, _ in digests_under(self._backend, f"{prefix}{shard:02x}/")
            if after < digest.raw <= upto
        }
        return sorted(found)


def encode_round(current: Round) -> bytes:
    """The object's bytes."""
    before = current.before or PastRound(0, 0, 0, 0)
    body = _BODY.pack(
        _MAGIC, VERSION, 0, current.position or _NOWHERE,
        current.began_us, current.last_us, current.blobs, current.bytes,
        before.began_us, before.ended_us, before.blobs, before.bytes,
    )  # fmt: skip
    return body + blake3(body).digest()


def parse_round(data: bytes) -> Round:
    """A round from its object's bytes.

    Raises:
        IntegrityError: damaged, or of a newer version.
    """
    body = data[: _BODY.size]
    if len(data) != _BODY.size + _CHECK_BYTES or blake3(body).digest() != data[_BODY.size :]:
        raise IntegrityError("the record of the round does not match its checksum")
    magic, version, zero, position, began, last, blobs, size, *before = _BODY.unpack(body)
    if magic != _MAGIC or version != VERSION or zero:
        raise IntegrityError(f"it is not the record of a round of version {VERSION}")
    past = PastRound(*before) if before[0] else None
    return Round(began, b"" if position == _NOWHERE else position, last, blobs, size, past)
