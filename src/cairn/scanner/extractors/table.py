"""Tables of data sets: Parquet and Arrow, whose magic stands at both ends.

https://parquet.apache.org/docs/file-format/ and
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format.
"""

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_PARQUET, _ARROW = b"PAR1", b"ARROW1"


class TableExtractor(Extractor):
    """Columns of values; nothing in them is made into objects by those who read them."""

    @property
    def name(self) -> str:
        """`table`."""
        return "table"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the magic at the start."""
        del source
        return head.startswith((_PARQUET, _ARROW + b"\0\0"))

    def extract(self, source: Source, trace: Trace) -> None:
        """The footer must fit: bytes in front of it or behind it would be somebody else's."""
        del trace
        magic = _ARROW if source.read_at(0, 6) == _ARROW else _PARQUET
        tail = source.read_at(max(0, source.size_bytes - 4 - len(magic)), 4 + len(magic))
        footer = int.from_bytes(tail[:4], "little")
        if tail[4:] != magic or not 0 < footer <= source.size_bytes - 4 - 2 * len(magic):
            raise MalformedError("the footer of the table is missing or damaged")
