"""gzip, bzip2, xz and zlib streams: what loaders unpack without being asked, as joblib's does."""

from cairn.domain import Source
from cairn.formats import BytesSource, WindowSource
from cairn.formats.limits import HEAD_BYTES
from cairn.scanner.evidence.base import Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.inflating import inflated, method_of
from cairn.scanner.trace import Trace

# Streams in one file; gzip's and bzip2's may follow each other.
_MAX_STREAMS = 1000


class CompressedExtractor(Extractor):
    """Content that is one or several compressed streams."""

    @property
    def name(self) -> str:
        """`compressed`."""
        return "compressed"

    def claims(self, head: bytes, source: Source) -> bool:
        """By magic numbers; zlib has none, so its first bytes must unpack."""
        del source
        return method_of(head) is not None

    def extract(self, source: Source, trace: Trace) -> None:
        """Unpack each stream, and examine what comes out as one file."""
        at = 0
        plain: list[bytes] = []
        method: str | None = ""
        for _ in range(_MAX_STREAMS):
            method = method_of(source.read_at(at, HEAD_BYTES))
            if method is None:
                break
            found = inflated(source, at, source.size_bytes, method, trace)
            plain.append(found.plain)
            at += found.packed_bytes
        rest = WindowSource(source, at, source.size_bytes)
        trace.enter("unpacked", BytesSource(b"".join(plain), _plain_name(source.name)))
        if rest.size_bytes:
            trace.note(Unread(trace.at(at), f"{rest.size_bytes} bytes follow the last stream"))
            trace.enter("rest", rest)


def _plain_name(name: str) -> str:
    return name.rpartition(".")[0] or name
