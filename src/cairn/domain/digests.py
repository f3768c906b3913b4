"""Content digests and the blobs they name."""

import re
from dataclasses import dataclass

from cairn.errors import NamingError

_HEX_LENGTH = {"sha256": 64, "blake3": 64, "sha1": 40}
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A hash of plain bytes that says which hash it is.

    Raises:
        NamingError: the algorithm is unknown or the hex has the wrong form.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = _HEX_LENGTH.get(self.algorithm)
        if length is None:
            raise NamingError(f"unknown digest algorithm {self.algorithm!r}")
        if len(self.hex) != length or not _HEX.match(self.hex):
            raise NamingError(
                f"not a {self.algorithm} digest: {self.hex[:80]!r}; want {length} lower-case hex"
            )

    @classmethod
    def sha256(cls, hex_digest: str) -> "Digest":
        """A SHA-256 digest from 64 lower-case hex digits."""
        return cls("sha256", hex_digest)

    @classmethod
    def blake3(cls, hex_digest: str) -> "Digest":
        """A 256-bit BLAKE3 digest from 64 lower-case hex digits."""
        return cls("blake3", hex_digest)

    @property
    def raw(self) -> bytes:
        """The digest's bytes (32 for sha256 and blake3, 20 for sha1)."""
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes kept by the store: the SHA-256 of the plain bytes and their count."""

    digest: Digest
    size_bytes: int

    def __post_init__(self) -> None:
        if self.digest.algorithm != "sha256":
            raise NamingError(f"a blob is named by its sha256, not by {self.digest}")
        if self.size_bytes < 0:
            raise NamingError(f"a blob cannot have {self.size_bytes} bytes")
