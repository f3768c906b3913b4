"""7z archives: where members lie and how they were packed, for the methods that Python unpacks.

    offset  size  meaning
    0       6     `7z BC AF 27 1C`, then the version (2) and a CRC-32 (4) of the next 20 bytes
    12      8     offset of the header from byte 32
    20      8     size of the header
    32      ..    packed streams, then the header: 01, or 17 if it is packed itself

    header       streams (04): packed sizes (06), folders (07), sizes of members (08)
                 files (05): names (11), which files are empty (0e)
    folder       coders, each with its properties, and which feeds which

Numbers have as many bytes as their first says. Specification: `DOC/7zFormat.txt` of the LZMA SDK,
https://www.7-zip.org/sdk.html.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.sources import read_exactly

SEVEN_ZIP_MAGIC = b"7z\xbc\xaf\x27\x1c"

_MAX_HEADER_BYTES = 16 << 20
_MAX_ITEMS = 100_000
_MAX_CODERS = 8
_MAX_PACKED_HEADERS = 8
_MAX_PLAIN_BYTES = 256 << 20
_END, _HEADER, _ARCHIVE_PROPERTIES, _STREAMS, _FILES = 0x00, 0x01, 0x02, 0x04, 0x05
_PACK, _FOLDERS, _SUBSTREAMS, _SIZES, _DIGESTS, _FOLDER = 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B
_UNPACK_SIZES, _COUNTS, _EMPTY_STREAMS, _NAMES, _PACKED_HEADER = 0x0C, 0x0D, 0x0E, 0x11, 0x17
_COPY, _LZMA, _LZMA2, _AES = b"\0", b"\x03\x01\x01", b"\x21", b"\x06\xf1\x07\x01"
_DEFLATE, _BZIP2 = b"\x04\x01\x08", b"\x04\x02\x02"
_BRANCHES = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x04": lzma.FILTER_X86,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x07": lzma.FILTER_ARM,
}


@dataclass(slots=True)
class Folder:
    """Members packed together: coders from the last that unpacks to the first, and the sizes.

    `checked`: it has a checksum of its own. `turned`: the header lists the coders the other way.
    """

    coders: list[tuple[bytes, bytes]] = field(default_factory=list)
    plain_bytes: int = 0
    packed: tuple[int, int] = (0, 0)
    members: list[int] = field(default_factory=list)
    checked: bool = False
    turned: bool = False

    @property
    def encrypted(self) -> bool:
        """Whether a password is needed."""
        return any(method == _AES for method, _ in self.coders)


class SevenZip:
    """The folders of an archive, the names of its members in order, and where it ends.

    Raises:
        MalformedError: the header is damaged.
        LimitError: more of anything than an archive of a checkpoint has.
    """

    def __init__(self, source: Source, spend: Callable[[int], None]) -> None:
        """`spend` is told how many bytes are about to be unpacked."""
        self._source = source
        self._spend = spend
        self.folders: list[Folder] = []
        self.names: list[str] = []
        head = read_exactly(source, 0, 32, "the head of a 7z archive")
        start, size = (int.from_bytes(head[at : at + 8], "little") for at in (12, 20))
        self.end = 32 + start + size
        if size > _MAX_HEADER_BYTES:
            raise LimitError(f"a header of {size} bytes", source=source.name)
        raw = read_exactly(source, 32 + start, size, "the header of a 7z archive") if size else b""
        for _ in range(_MAX_PACKED_HEADERS):
            cursor = _Cursor(raw)
            kind = cursor.byte() if raw else _END
            if kind != _PACKED_HEADER:
                break
            raw = self.unpack(_streams(cursor)[0])
        if kind == _HEADER:
            self._read(cursor)
        elif kind != _END or raw:
            raise MalformedError(f"a 7z header of the kind {kind}", source=source.name)

    def unpack(self, folder: Folder) -> bytes:
        """The plain bytes of a folder.

        Raises:
            MalformedError: they do not unpack.
            LimitError: a method nobody here knows, or too many bytes.
        """
        if folder.plain_bytes > _MAX_PLAIN_BYTES:
            raise LimitError(f"{folder.plain_bytes} bytes in one folder of a 7z archive")
        self._spend(folder.plain_bytes)
        start, size = folder.packed
        raw = read_exactly(self._source, 32 + start, size, "a packed stream")
        try:
            plain = _unpacked(folder, raw)
        except (lzma.LZMAError, zlib.error, OSError, EOFError, ValueError) as error:
            raise MalformedError(f"a packed stream is damaged: {error}"[:200]) from None
        if len(plain) != folder.plain_bytes:
            raise MalformedError(f"{len(plain)} bytes unpack, {folder.plain_bytes} are declared")
        return plain

    def _read(self, cursor: "_Cursor") -> None:
        while (kind := cursor.byte()) != _END:
            if kind == _STREAMS:
                self.folders = _streams(cursor)
            elif kind == _FILES:
                self.names = _names(cursor)
            else:
                raise MalformedError(f"a 7z header has the part {kind}", source=self._source.name)


class _Cursor:
    """A place in a header."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._raw) - self._at:
            raise MalformedError("a 7z header ends early", offset=self._at)
        self._at += size
        return self._raw[self._at - size : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        first = self.byte()
        extra = 8 - (first ^ 0xFF).bit_length() if first != 0xFF else 8
        low = int.from_bytes(self.take(extra), "little")
        return low | (first & ((1 << (7 - extra)) - 1 if extra < 7 else 0)) << (8 * extra)

    def count(self) -> int:
        found = self.number()
        if found > _MAX_ITEMS:
            raise LimitError(f"{found} items in a 7z header, at most {_MAX_ITEMS} are read")
        return found

    def flags(self, count: int) -> list[bool]:
        raw = self.take((count + 7) // 8)
        return [bool(raw[at // 8] & 0x80 >> at % 8) for at in range(count)]

    def digests(self, count: int) -> list[bool]:
        """Pass over checksums; which of so many things have one."""
        known = [True] * count if self.byte() else self.flags(count)
        self.take(4 * sum(known))
        return known

    def rest(self) -> bytes:
        return self.take(len(self._raw) - self._at)

    def expect(self, kind: int) -> None:
        found = self.byte()
        if found != kind:
            raise MalformedError(f"a 7z header has {found} where {kind} belongs", offset=self._at)


def _streams(cursor: _Cursor) -> list[Folder]:
    """The folders, with what is packed where and the sizes of their members."""
    packed: list[tuple[int, int]] = []
    folders: list[Folder] = []
    while (kind := cursor.byte()) != _END:
        if kind == _PACK:
            packed = _packed_sizes(cursor)
        elif kind == _FOLDERS:
            folders = _folders(cursor)
        elif kind == _SUBSTREAMS:
            _members(cursor, folders)
        else:
            raise MalformedError(f"7z streams have the part {kind}")
    if len(packed) != len(folders) or not folders:
        raise LimitError("a 7z folder of several streams")
    for folder, place in zip(folders, packed, strict=True):
        folder.packed = place
        folder.members = folder.members or [folder.plain_bytes]
    return folders


def _packed_sizes(cursor: _Cursor) -> list[tuple[int, int]]:
    at, count = cursor.number(), cursor.count()
    found: list[tuple[int, int]] = []
    while (kind := cursor.byte()) != _END:
        if kind == _SIZES:
            for _ in range(count):
                size = cursor.number()
                found.append((at, size))
                at += size
        elif kind == _DIGESTS:
            cursor.digests(count)
        else:
            raise MalformedError(f"7z packed streams have the part {kind}")
    return found


def _folders(cursor: _Cursor) -> list[Folder]:
    cursor.expect(_FOLDER)
    count = cursor.count()
    if cursor.byte():
        raise LimitError("a 7z header that lies elsewhere")
    found = [_folder(cursor) for _ in range(count)]
    cursor.expect(_UNPACK_SIZES)
    for folder in found:
        sizes = [cursor.number() for _ in folder.coders]
        folder.plain_bytes = sizes[-1 if folder.turned else 0]
        if folder.turned:
            folder.coders.reverse()
    while (kind := cursor.byte()) != _END:
        if kind != _DIGESTS:
            raise MalformedError(f"7z folders have the part {kind}")
        for folder, checked in zip(found, cursor.digests(count), strict=True):
            folder.checked = checked
    return found


def _folder(cursor: _Cursor) -> Folder:
    """Coders that feed each other in a row: anything else is not unpacked here."""
    folder = Folder()
    coders = cursor.number()
    if not 1 <= coders <= _MAX_CODERS:
        raise MalformedError(f"a 7z folder of {coders} coders")
    for _ in range(coders):
        flags = cursor.byte()
        method = cursor.take(flags & 0x0F)
        if flags & 0x10:
            raise LimitError("a 7z folder of several streams")
        folder.coders.append((method, cursor.take(cursor.number()) if flags & 0x20 else b""))
    # Which coder's input is which one's output; writers list them in either direction.
    feeds = {(cursor.number(), cursor.number()) for _ in range(coders - 1)}
    if feeds == {(at + 1, at) for at in range(coders - 1)} and coders > 1:
        folder.turned = True
    elif feeds != {(at, at + 1) for at in range(coders - 1)}:
        raise LimitError("a 7z folder whose coders are in no row")
    return folder


def _members(cursor: _Cursor, folders: list[Folder]) -> None:
    kind = cursor.byte()
    counts = [1] * len(folders)
    if kind == _COUNTS:
        counts = [cursor.count() for _ in folders]
        kind = cursor.byte()
    for folder, count in zip(folders, counts, strict=True):
        sizes = [cursor.number() for _ in range(count - 1)] if kind == _SIZES else []
        folder.members = [*sizes, folder.plain_bytes - sum(sizes)] if count else [0]
    if kind == _SIZES:
        kind = cursor.byte()
    checked = sum(f.checked for f, count in zip(folders, counts, strict=True) if count == 1)
    while kind != _END:
        if kind != _DIGESTS:
            raise MalformedError(f"7z members have the part {kind}")
        cursor.digests(sum(counts) - checked)
        kind = cursor.byte()


def _names(cursor: _Cursor) -> list[str]:
    """The names of the files that are not empty."""
    count = cursor.count()
    names: list[str] = []
    empty = [False] * count
    while (kind := cursor.byte()) != _END:
        part = _Cursor(cursor.take(cursor.number()))
        if kind == _EMPTY_STREAMS:
            empty = part.flags(count)
        elif kind == _NAMES and not part.byte():
            names = part.rest().decode("utf-16-le", "replace").split("\0")[:count]
    return [name for name, without in zip(names, empty, strict=False) if not without]


def _unpacked(folder: Folder, raw: bytes) -> bytes:
    size = folder.plain_bytes
    match folder.coders:
        case [(method, _)] if method == _COPY:
            return raw
        case [(method, _)] if method == _DEFLATE:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, size)
        case [(method, _)] if method == _BZIP2:
            return bz2.BZ2Decompressor().decompress(raw, size)
    filters = [_filter(method, properties) for method, properties in folder.coders]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(raw, size)


def _filter(method: bytes, properties: bytes) -> dict[str, int]:
    if method in _BRANCHES:
        return {"id": _BRANCHES[method]}
    if method == _LZMA2 and len(properties) == 1 and properties[0] <= 40:
        return _sized({"id": lzma.FILTER_LZMA2}, (2 | properties[0] & 1) << properties[0] // 2 + 11)
    if method == _LZMA and len(properties) == 5 and properties[0] < 225:
        packed = properties[0]
        kind = {
            "id": lzma.FILTER_LZMA1,
            "lc": packed % 9,
            "lp": packed // 9 % 5,
            "pb": packed // 45,
        }
        return _sized(kind, int.from_bytes(properties[1:], "little"))
    raise LimitError(f"the 7z method {method.hex()} is not unpacked here")


def _sized(kind: dict[str, int], dictionary_bytes: int) -> dict[str, int]:
    if dictionary_bytes > _MAX_PLAIN_BYTES:
        raise LimitError(f"a 7z dictionary of {dictionary_bytes} bytes")
    return kind | {"dict_size": max(dictionary_bytes, 4096)}
