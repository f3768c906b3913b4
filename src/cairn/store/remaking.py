"""Encodes a blob that is rewritten already once more, for another use or in shallower chains.

Its recipe stays: new records of its parts are written, in packs that are newer and so count
(`precedence`). Until gc drops the old records there are two of each. Three rules keep every part
readable in whatever order records are written and at whatever instant that ends:

- A record is written when it was decoded and compared, from bases that were checked.
- It is made from records that lie less deep, those written a moment ago included.
- A part that others are made from never gets a record that lies deeper than its last one.

So each record that counts is made from ones of lower depth that count: nothing goes in circles.
"""

from collections.abc import Sequence

from cairn.domain import Digest, DType, Span
from cairn.errors import IntegrityError
from cairn.store.admission import Admission
from cairn.store.base_parts import BaseParts
from cairn.store.base_rule import BaseRule
from cairn.store.bases import Base
from cairn.store.deriving import Way, reads_back
from cairn.store.kin import Kin
from cairn.store.packs import Encoded
from cairn.store.parts import Kept, PartStore
from cairn.store.profiles import Profile
from cairn.store.recipes import Part, Recipe
from cairn.store.solo import encode_alone

# A part that fits its profile gets another record only if that takes at most this share: each
# costs writing it now and dropping the old one later.
WORTH_REMAKING = 0.98


class OlderBases(BaseRule):
    """What may serve as base for a blob that is remade: its own tensors, and older blobs'.

    A series is so made forwards whenever its members are remade, and the newest, which others
    will be made from, can still be moved. Where others are made from a storage, it stays as
    shallow as it is.
    """

    def __init__(
        self, profile: Profile, recipe: Recipe, kin: Kin, parts: PartStore, in_use: set[bytes]
    ) -> None:
        """`in_use` are the parts that others are made from."""
        super().__init__(profile)
        self._recipe = recipe
        self._kin = kin
        self._parts = parts
        self._in_use = in_use
        self.allowed = self._is_own_or_older

    def _is_own_or_older(self, blob: Digest) -> bool:
        own = self._recipe.blob.digest
        return blob == own or self._kin.is_older(blob, than=own)

    def permits(self, span: Span, bases: tuple[Base, ...]) -> bool:
        """Whether none is a part of the storage itself: an older blob may have it too."""
        own = self._digests(span)
        return not any(base.digest in own for base in bases)

    def deepest(self, span: Span, predictor: str) -> int:
        """As the profile has it, or the shallowest part that others are made from."""
        used = self._digests(span) & self._in_use
        depths = [k.record.depth for d in used if (k := self._parts.kept(d)) is not None]
        return min([self.profile.deepest(predictor), *depths])

    def _digests(self, span: Span) -> set[bytes]:
        return {base.digest for base in self._recipe.bases(span.start, span.stop)}


class Remake(Admission):
    """Which parts of one blob get another record."""

    def __init__(
        self, stored: PartStore, profile: Profile, in_use: set[bytes], held: set[bytes]
    ) -> None:
        """`held` parts stay as they are: blobs that are kept for another use have them too."""
        super().__init__(stored)
        self._profile = profile
        self._in_use = in_use
        self._held = held
        self._before: dict[bytes, Kept] = {}

    def is_kept(self, part: Part) -> bool:
        """Whether its record is as the profile wants it; to take less space, it is never known."""
        kept = self._stored.kept(part.digest)
        if kept is None or not self._stored.lasting(part):
            return False
        self._before[part.digest] = kept
        return part.digest in self._held or (self._profile.quick and self._suits(kept))

    def _suits(self, kept: Kept) -> bool:
        record = kept.record
        return self._profile.suits(record.codec, record.depth, kept.coding, record.dtype)

    def encode(
        self,
        ways: Sequence[Way],
        plain: bytes,
        digest: bytes,
        dtype: DType | None,
        parts: BaseParts,
    ) -> Encoded | None:
        """The part as the profile wants it; None if that is no better.

        Raises:
            IntegrityError: what was made of it does not read back.
        """
        before = self._before.get(digest)
        if before is not None and before.record.depth == 0 and not ways:
            return None
        encoded = super().encode(ways, plain, digest, dtype, parts)
        if encoded is None or (before is not None and not self._better(encoded, before)):
            return None
        if not reads_back(encoded, ways, plain, parts):
            raise IntegrityError(f"part {digest.hex()} does not read back as {encoded.codec!r}")
        return encoded

    def _better(self, encoded: Encoded, before: Kept) -> bool:
        if not self._suits(before):
            return encoded.depth <= self._profile.deepest(encoded.codec)
        return len(encoded.stored) <= WORTH_REMAKING * before.record.stored_bytes

    def admitted(self, encoded: Encoded, plain: bytes) -> Encoded | None:
        """The record, if with it too every part is made from less deep ones; else one alone.

        None if the part is here and has that already.
        """
        before = self._before.pop(encoded.digest, None)
        if not self._keeps_order(encoded, 0 if before is None else before.record.depth):
            if before is not None:
                return None
            encoded = encode_alone(plain, encoded.digest, encoded.dtype, self._stored.codecs)
        self._depths[encoded.digest] = encoded.depth
        self._in_use.update(base.digest for base in encoded.bases)
        return encoded

    def _keeps_order(self, encoded: Encoded, depth_before: int) -> bool:
        if encoded.depth > depth_before and encoded.digest in self._in_use:
            return False
        # Where a base lies now may not be where it was to lie when it was chosen.
        names = {base.digest for base in encoded.bases}
        return encoded.digest not in names and all(self._depth(n) < encoded.depth for n in names)
