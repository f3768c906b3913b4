"""Rows of a tensor that are byte for byte alike, rows of zeros left out."""

from hashlib import blake2b

MAX_ROWS = 1 << 20
"""Rows of which digests are kept: some 100 MiB, and more rows than any vocabulary has."""

MIN_ROW_BYTES = 16
"""Shorter rows may well be alike by meaning."""

_DIGEST_BYTES = 16
_CHUNK = bytes(1 << 16)


class RepeatedRows:
    """Counts rows that an earlier one equals; bytes come in row-major order."""

    def __init__(self, row_bytes: int) -> None:
        self._row_bytes = self._left = row_bytes
        self._zero = _of_zeros(row_bytes)
        self._current = blake2b(digest_size=_DIGEST_BYTES)
        self._seen: set[bytes] = set()
        self.repeated = 0

    def add(self, block: memoryview) -> None:
        """The next bytes."""
        while len(block):
            taken, block = block[: self._left], block[self._left :]
            self._current.update(taken)
            self._left -= len(taken)
            if not self._left:
                self._close()

    def _close(self) -> None:
        digest = self._current.digest()
        self._current, self._left = blake2b(digest_size=_DIGEST_BYTES), self._row_bytes
        if digest != self._zero:
            self.repeated += digest in self._seen
            self._seen.add(digest)


def _of_zeros(size: int) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    while size:
        digest.update(_CHUNK[:size])
        size -= min(size, len(_CHUNK))
    return digest.digest()
