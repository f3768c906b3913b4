"""Keeps bytes as they are: for parts that no codec makes smaller."""

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.codec import Codec


class RawCodec(Codec):
    """Stored bytes are the plain bytes."""

    name = "raw"

    def encode(self, plain: memoryview, dtype: DType | None) -> bytes | None:  # noqa: ARG002
        """The bytes themselves."""
        return bytes(plain)

    def decode_into(
        self,
        stored: memoryview,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002
    ) -> None:
        """Copy."""
        if len(stored) != len(out):
            raise IntegrityError(f"raw part has {len(stored)} bytes instead of {len(out)}")
        out[:] = stored
