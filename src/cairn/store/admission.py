"""Which parts of a blob get a record: what is written when the blob is encoded."""

from collections.abc import Sequence

from cairn.domain import DType
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.bases import MAX_DEPTH
from cairn.store.deriving import Way, encode_part
from cairn.store.packs import Encoded
from cairn.store.parts import PartStore
from cairn.store.recipes import Part
from cairn.store.solo import encode_alone


class Admission:
    """The rule for new blobs: parts that are here are shared as they are, others written.

    A part may be here all the same when it is written: a disk that failed for a moment hid it, or
    it is in a pack that goes. Others may be made from it, so it takes no place in a chain that it
    could be above of.
    """

    def __init__(self, stored: PartStore) -> None:
        self._stored = stored
        self._depths: dict[bytes, int] = {}  # of the records written here

    def is_kept(self, part: Part) -> bool:
        """Whether the part stays as it is stored, and is not encoded."""
        return self._stored.lasting(part)

    def encode(
        self,
        ways: Sequence[Way],
        plain: bytes,
        digest: bytes,
        dtype: DType | None,
        parts: BaseParts,
    ) -> Encoded | None:
        """The part as it would be stored in one of these ways; None: leave it.

        Called from several threads.
        """
        return encode_part(ways, plain, digest, dtype, parts)

    def admitted(self, encoded: Encoded, plain: bytes) -> Encoded | None:
        """What to write of the part with these bytes; None: nothing.

        Asked in the order in which records are written.
        """
        if encoded.bases and not self._is_in_order(encoded):
            encoded = encode_alone(plain, encoded.digest, encoded.dtype, self._stored.codecs)
        self._depths[encoded.digest] = encoded.depth
        return encoded

    def _is_in_order(self, encoded: Encoded) -> bool:
        """Whether with this record too every part is made from less deep ones."""
        if encoded.depth > self._depth(encoded.digest, unknown=encoded.depth, unread=0):
            return False
        return all(self._depth(base.digest) < encoded.depth for base in encoded.bases)

    def _depth(self, digest: bytes, unknown: int = 0, unread: int = MAX_DEPTH + 1) -> int:
        """The depth of a part's record that counts, or what is given in place of it."""
        if digest in self._depths:
            return self._depths[digest]
        try:
            depth = self._stored.counting_depth(digest)
        except (IntegrityError, UnavailableError):
            return unread
        return unknown if depth is None else depth


class Distrusting(Admission):
    """The rule where something is damaged: no part here is shared unread."""

    def is_kept(self, part: Part) -> bool:
        """Whether the part is here and reads back."""
        return super().is_kept(part) and self._stored.sound(part)
