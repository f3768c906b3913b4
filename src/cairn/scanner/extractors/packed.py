"""Archives nobody here unpacks: what is in them is unread."""

from cairn.domain import Source
from cairn.scanner.evidence.base import Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_FORMS = {
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"\x04\x22\x4d\x18": "LZ4 data",
    b"%PDF": "a PDF document",
    b"MSCF\0\0\0\0": "a cabinet archive",
}


class PackedExtractor(Extractor):
    """Containers that checkpoints do not come in."""

    @property
    def name(self) -> str:
        """`packed`."""
        return "packed"

    def claims(self, head: bytes, source: Source) -> bool:
        """By their first bytes."""
        del source
        return head.startswith(tuple(_FORMS))

    def extract(self, source: Source, trace: Trace) -> None:
        """Say what it is and that nobody looked inside."""
        head = source.read_at(0, 8)
        what = next(form for magic, form in _FORMS.items() if head.startswith(magic))
        trace.note(Unread(trace.at(0), f"{what} is not unpacked"))
