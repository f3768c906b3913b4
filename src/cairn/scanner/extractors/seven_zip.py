"""7z archives: no loader reads them, but payloads have travelled in them (nullifAI, 2025)."""

from cairn.domain import Source
from cairn.formats import BytesSource, WindowSource
from cairn.scanner.evidence.archives import Encrypted, MemberName
from cairn.scanner.evidence.base import Broken
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import climbs, is_absolute
from cairn.scanner.seven_zip import SEVEN_ZIP_MAGIC, SevenZip
from cairn.scanner.trace import Trace


class SevenZipExtractor(Extractor):
    """What begins with the magic."""

    @property
    def name(self) -> str:
        """`7z`."""
        return "7z"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the magic."""
        del source
        return head.startswith(SEVEN_ZIP_MAGIC)

    def extract(self, source: Source, trace: Trace) -> None:
        """Examine each member as a file; methods that are not unpacked here leave it unread."""
        archive = SevenZip(source, trace.spend)
        names = iter(archive.names)
        for name in archive.names:
            if climbs(name) or is_absolute(name):
                trace.note(MemberName(trace.at(), name[:300]))
        for number, folder in enumerate(archive.folders):
            if folder.encrypted:
                trace.note(Encrypted(trace.at(), f"folder {number}"))
                continue
            plain = archive.unpack(folder)
            at = 0
            for size in folder.members:
                name = next(names, "a member")
                trace.enter(name, BytesSource(plain[at : at + size], name))
                at += size
        if archive.end < source.size_bytes:
            trace.note(Broken(trace.at(archive.end), "bytes follow the end of the archive"))
            name = "bytes after the archive"
            trace.enter(name, WindowSource(source, archive.end, source.size_bytes, name))
