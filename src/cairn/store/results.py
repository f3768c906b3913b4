"""What the store's slow work reports back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cairn.domain import Blob, Digest


@dataclass(frozen=True, slots=True)
class Optimized:
    """What `optimize` did to a blob.

    `stored_after` counts the bytes written for it (packs, indexes, recipe): parts that were
    there already cost nothing. `rewritten` is False if it stays as it was.
    """

    blob: Blob
    stored_before: int
    stored_after: int
    rewritten: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """How many blobs and plain bytes were read back, and which are bad and why."""

    checked: int
    bytes: int
    bad: tuple[tuple[Digest, str], ...] = ()

    def with_bad(self, more: Iterable[tuple[Digest, str]]) -> "Verification":
        """The same, with further bad blobs that are not named yet."""
        known = {digest for digest, _ in self.bad}
        return replace(self, bad=self.bad + tuple(b for b in more if b[0] not in known))


@dataclass(frozen=True, slots=True)
class Collected:
    """What `collect` removed and rewrote.

    `packs_condemned` go in a later run, when open readers had time to finish. `damaged` names
    blobs whose recipe or parts cannot be read: while there are any, packs are left alone.
    """

    blobs: int = 0
    packs_removed: int = 0
    packs_rewritten: int = 0
    packs_condemned: int = 0
    freed_bytes: int = 0
    damaged: tuple[tuple[Digest, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CodecShare:
    """How many parts a codec keeps, and in how many bytes."""

    parts: int
    plain_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class GroupShare:
    """What some blobs take: `logical_bytes` as readers see them, `unique_bytes` with equal parts
    counted once, `stored_bytes` on disk with everything those parts are made from, `own_bytes` of
    these that no other group needs. `fair_bytes` splits what several need: they add up.
    `decoded_bytes` is what is decoded to read each part of `unique_bytes`, bases included.
    """

    blobs: int
    logical_bytes: int
    unique_bytes: int
    stored_bytes: int
    own_bytes: int
    fair_bytes: int
    decoded_bytes: int

    @property
    def amplification(self) -> float:
        """Bytes decoded per byte read; 1 without chains."""
        return self.decoded_bytes / self.unique_bytes if self.unique_bytes else 1.0


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the store holds. `stored_bytes` is everything on disk: raw blobs, packs, their
    indexes and recipes; `logical_bytes` is what readers see.
    """

    blobs: int
    logical_bytes: int
    stored_bytes: int
    raw_blobs: int
    raw_bytes: int
    packs: int
    parts: int
    by_codec: Mapping[str, CodecShare] = field(default_factory=dict)
