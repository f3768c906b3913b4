"""Files that a reader of `cairn.formats` lays out: what it accounts for byte by byte is read."""

from cairn.domain import Source
from cairn.formats import READERS
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace


class LaidOutExtractor(Extractor):
    """The files of one reader, for formats that can hold nothing but numbers and their names."""

    def __init__(self, reader: str) -> None:
        """`reader` is the name of one in the table of `cairn.formats`."""
        self._reader = READERS.get(reader)

    @property
    def name(self) -> str:
        """The reader's."""
        return self._reader.name

    def claims(self, head: bytes, source: Source) -> bool:
        """What the reader recognises."""
        return self._reader.recognises(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Lay it out; where it breaks the rules of the format, that is what is noted."""
        del trace
        self._reader.read(source)
