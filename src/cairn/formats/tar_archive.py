"""Tar archives walked strictly: plain files only, every header checked, nothing after the end.

    offset  size   field (octal text unless said otherwise)
    0       100    name
    124     12     size, or base-256 with the first bit set
    148     8      sum of the header's bytes, itself taken as blanks
    156     1      type: `0` or NUL file, `5` folder, `x` `g` pax records, `L` long name
    257     6      `ustar` and NUL or a blank
    345     155    what stands before the name

Each header is one block of 512 bytes, contents fill whole blocks, two blocks of zeros end the
archive, which fills whole records of 10,240 bytes. Specification: POSIX.1-2017, pax,
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_TAR_MEMBERS, MAX_TAR_RECORD_BYTES
from cairn.formats.sources import read_exactly

_BLOCK = 512
_RECORD = 10_240
_FILE, _FOLDER, _PAX, _GLOBAL, _LONG_NAME = (b"0", b"\0"), b"5", b"x", b"g", b"L"


@dataclass(frozen=True, slots=True)
class TarMember:
    """One file of an archive: its path with no `.` or `..` in it, and where its bytes lie."""

    name: str
    data: Span


def members_of(source: Source, most: int | None = None) -> Iterator[TarMember]:
    """The files of the archive in order; folders are passed over.

    `most` headers are read, `MAX_TAR_MEMBERS` if none are given.

    Raises:
        MalformedError: a header is damaged, a name leads out, a member is a link or a device,
            contents reach past the end, or anything but zeros follows the end.
        LimitError: more than `most` headers, or overlong pax records.
    """
    at = 0
    given: dict[str, str] = {}
    most = MAX_TAR_MEMBERS if most is None else most
    for _ in range(most):
        header = read_exactly(source, at, _BLOCK, "a tar header")
        if not any(header):
            _check_end(source, at)
            return
        size = _checked_size(header, source, at)
        kind = header[156:157]
        size = int(given.get("size", size)) if kind not in (_PAX, _GLOBAL, _LONG_NAME) else size
        data = Span(at + _BLOCK, at + _BLOCK + size)
        if data.stop > source.size_bytes:
            raise MalformedError(
                "a member reaches past the end", source=source.name, offset=at,
                hint="The file was cut short: copy it again",
            )  # fmt: skip
        if kind in (_PAX, _LONG_NAME):
            given = {**given, **_records(source, data, kind)}
        elif kind in _FILE:
            yield TarMember(_name(header, given, source, at), data)
            given = {}
        elif kind == _FOLDER:
            given = {}
        elif kind != _GLOBAL:
            raise _refusal("a member is a link, a device or of a kind not known", source, at)
        at = data.stop + -size % _BLOCK
    raise LimitError(f"more than {most} members", source=source.name)


def _checked_size(header: bytes, source: Source, at: int) -> int:
    blank = header[:148] + b" " * 8 + header[156:]
    if header[257:262] != b"ustar" or _octal(header[148:156]) != sum(blank):
        raise _refusal("a tar header is damaged", source, at)
    field = header[124:136]
    if field[0] & 0x80:
        size = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    else:
        size = _octal(field)
    if size < 0:
        raise _refusal("the size of a member is no number", source, at)
    return size


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text or text.strip(b"01234567"):
        return 0 if not text else -1
    return int(text, 8)


def _records(source: Source, data: Span, kind: bytes) -> dict[str, str]:
    """What pax records or a long name say of the next member: its path and size."""
    if data.size_bytes > MAX_TAR_RECORD_BYTES:
        raise LimitError(
            f"pax records of {data.size_bytes} bytes, at most {MAX_TAR_RECORD_BYTES} are read",
            source=source.name,
        )
    raw = read_exactly(source, data.start, data.size_bytes, "pax records")
    if kind == _LONG_NAME:
        return {"path": raw.rstrip(b"\0").decode("utf-8", "replace")}
    found: dict[str, str] = {}
    while raw:
        length, _, _ = raw.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 8 else 0
        record = raw[len(length) + 1 : size]
        key, equals, value = record.partition(b"=")
        if not 0 < size <= len(raw) or not equals or value[-1:] != b"\n":
            raise _refusal("a pax record is damaged", source, data.start)
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "replace")
        raw = raw[size:]
    if not found.get("size", "0").isdigit() or len(found.get("size", "")) > 18:
        raise _refusal("the size in a pax record is no number", source, data.start)
    return found


def _name(header: bytes, given: dict[str, str], source: Source, at: int) -> str:
    parts = [header[345:500].rstrip(b"\0"), header[:100].rstrip(b"\0")]
    plain = b"/".join(part for part in parts if part).decode("utf-8", "replace")
    name = given.get("path", plain)
    steps = [step for step in name.split("/") if step != "."]
    if not steps or "" in steps or ".." in steps or "\0" in name:
        raise _refusal(f"the name {name[:200]!r} leads out of the archive", source, at)
    return "/".join(steps)


def _check_end(source: Source, at: int) -> None:
    rest = source.size_bytes - at
    if source.size_bytes % _RECORD or not 2 * _BLOCK <= rest < _RECORD + 2 * _BLOCK:
        raise _refusal("the archive does not end with its last record", source, at)
    if any(read_exactly(source, at, rest, "the end of the archive")):
        raise _refusal("bytes follow the end of the archive", source, at)


def _refusal(why: str, source: Source, at: int) -> MalformedError:
    return MalformedError(why, source=source.name, offset=at)
