"""General compression with zstd (RFC 8878): headers, JSON, vocabularies, integers.

Stored bytes are one zstd frame that holds the whole part.
"""

from cairn.domain import DType
from cairn.store.codec import Codec, pays
from cairn.store.zstd_library import compress, decompress_into

LEVEL = 3
SAMPLE_BYTES = 32 << 10
_FLOATS = frozenset(
    {
        DType.F16, DType.BF16, DType.F32, DType.F64, DType.C32, DType.C64, DType.C128,
        DType.F8_E4M3, DType.F8_E5M2, DType.F8_E4M3FNUZ, DType.F8_E5M2FNUZ,
    }
)  # fmt: skip


class ZstdCodec(Codec):
    """One frame per part; not for floats, whose mantissas hold nothing a match search finds."""

    name = "zstd"

    def encode(self, plain: memoryview, dtype: DType | None) -> bytes | None:
        """A frame, or None if a sample already shows that it would not pay."""
        if dtype in _FLOATS or not self._sample_pays(plain):
            return None
        frame = compress(plain, LEVEL)
        return frame if pays(len(frame), len(plain)) else None

    def decode_into(
        self,
        stored: memoryview,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002
    ) -> None:
        """Decode the frame."""
        decompress_into(stored, out)

    @staticmethod
    def _sample_pays(plain: memoryview) -> bool:
        """Try three windows: already compressed data is common (images, archives)."""
        if len(plain) <= 4 * SAMPLE_BYTES:
            return True
        starts = (0, (len(plain) - SAMPLE_BYTES) // 2, len(plain) - SAMPLE_BYTES)
        windows = [plain[at : at + SAMPLE_BYTES] for at in starts]
        return any(pays(len(compress(window, 1)), SAMPLE_BYTES) for window in windows)
