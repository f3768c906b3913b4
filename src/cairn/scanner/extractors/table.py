"""Tables of data sets: Parquet and Arrow, whose magic stands at both ends.

https://parquet.apache.org/docs/file-format/ and
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format.
"""

import re
from base64 import b64encode
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.scanner.evidence.settings import NamedCode
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

# Made of a pickle by pyarrow before 14.0.1 (CVE-2023-47248), and by whoever allows it since.
# Parquet keeps Arrow's schema in base64.
_PICKLED_TYPE = "arrow.py_extension_type"
_HEAD_BYTES = 1 << 20


def _in_base64(word: bytes) -> list[bytes]:
    """The letters that are the same wherever the word begins in what is encoded."""
    shifted = (b64encode(bytes(shift) + word) for shift in range(3))
    return [
        letters[at : len(letters) // 4 * 4 - 4]
        for at, letters in zip((0, 2, 3), shifted, strict=True)
    ]


_UNPICKLED = re.compile(
    b"|".join(map(re.escape, [_PICKLED_TYPE.encode(), *_in_base64(_PICKLED_TYPE.encode())]))
)

_PARQUET, _ARROW = b"PAR1", b"ARROW1"


class TableExtractor(Extractor):
    """Columns of values, which readers make no objects of, one type aside."""

    version: ClassVar[int] = 2

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
        magic = _ARROW if source.read_at(0, 6) == _ARROW else _PARQUET
        tail = source.read_at(max(0, source.size_bytes - 4 - len(magic)), 4 + len(magic))
        footer = int.from_bytes(tail[:4], "little")
        if tail[4:] != magic or not 0 < footer <= source.size_bytes - 4 - 2 * len(magic):
            raise MalformedError("the footer of the table is missing or damaged")
        start = source.size_bytes - 4 - len(magic) - footer
        for at, size in ((0, min(_HEAD_BYTES, start)), (start, footer)):
            _note_unpickled(source, at, size, trace)


def _note_unpickled(source: Source, start: int, size: int, trace: Trace) -> None:
    """Note a type of column whose description is a pickle, in the schema of Arrow or Parquet.

    Raises:
        LimitError: the schema is longer than the file's budget.
    """
    trace.spend(size)
    found = _UNPICKLED.search(source.read_at(start, size))
    if found is not None:
        place = trace.at(start + found.start())
        trace.note(NamedCode(place, "Arrow extension type", _PICKLED_TYPE))
