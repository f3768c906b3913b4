"""Which parts of a blob get a record: what is written when the blob is encoded."""

from collections.abc import Sequence

from cairn.domain import DType
from cairn.store.base_parts import BaseParts
from cairn.store.deriving import Way, encode_part
from cairn.store.packs import Encoded
from cairn.store.parts import PartStore
from cairn.store.recipes import Part


class Admission:
    """The rule for new blobs: parts that are here are shared as they are, others written."""

    def __init__(self, stored: PartStore) -> None:
        self._stored = stored

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
        del plain
        return encoded


class Distrusting(Admission):
    """The rule where something is damaged: no part here is shared unread."""

    def is_kept(self, part: Part) -> bool:
        """Whether the part is here and reads back."""
        return super().is_kept(part) and self._stored.sound(part)
