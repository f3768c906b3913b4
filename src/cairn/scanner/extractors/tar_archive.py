"""Tar archives, such as NeMo's and torch's first: members, and what else headers can make."""

from cairn.domain import Source
from cairn.formats import WindowSource
from cairn.scanner.evidence.archives import MemberName
from cairn.scanner.evidence.base import Broken, Unread
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.extractor import Extractor
from cairn.scanner.loose_tar import (
    TAR_BLOCK_BYTES,
    TarEntry,
    end_of_tar,
    is_tar_header,
    tar_entries,
)
from cairn.scanner.paths import climbs, is_absolute
from cairn.scanner.trace import Trace

_FILES, _LINKS, _DEVICES, _FOLDER = (b"0", b"\0", b"7"), (b"1", b"2"), (b"3", b"4", b"6"), b"5"


class TarExtractor(Extractor):
    """What begins with a header that has a right checksum."""

    @property
    def name(self) -> str:
        """`tar`."""
        return "tar"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the first header."""
        del source
        return is_tar_header(head[:TAR_BLOCK_BYTES])

    def extract(self, source: Source, trace: Trace) -> None:
        """Examine each member as a file; note names, links and devices."""
        end = 0
        seen: set[str] = set()
        for entry in tar_entries(source):
            _note_names(entry, seen, trace)
            end = entry.data.stop + -entry.data.size_bytes % TAR_BLOCK_BYTES
            if entry.kind in _FILES and entry.data.size_bytes:
                span = entry.data
                trace.enter(entry.name, WindowSource(source, span.start, span.stop, entry.name))
            elif entry.kind not in (*_FILES, *_LINKS, *_DEVICES, _FOLDER):
                place = trace.at(entry.offset)
                trace.note(Unread(place, f"a tar member of the type {entry.kind!r}"))
        rest = end_of_tar(source, end)
        if rest < source.size_bytes:
            trace.note(Broken(trace.at(rest), "bytes follow the end of the archive"))
            name = "bytes after the archive"
            trace.enter(name, WindowSource(source, rest, source.size_bytes, name))


def _note_names(entry: TarEntry, seen: set[str], trace: Trace) -> None:
    place = trace.at(entry.offset)
    if climbs(entry.name) or is_absolute(entry.name):
        trace.note(MemberName(place, entry.name[:300]))
    if entry.kind in _LINKS:
        trace.note(Reference(place, "tar link", entry.link[:300]))
    if entry.kind in _DEVICES:
        trace.note(Reference(place, "tar device", entry.name[:300]))
    if entry.kind in _FILES and entry.name in seen:
        trace.note(Broken(place, f"two members are named {entry.name[:200]!r}"))
    seen.add(entry.name)
