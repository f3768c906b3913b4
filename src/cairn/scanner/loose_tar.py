"""Tar archives as the most tolerant reader sees them: every header that has a right checksum.

The byte table and the specification are in `cairn.formats.tar_archive`, which refuses what a
checkpoint does not need; here links, devices and names that lead out are what is looked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.sources import read_exactly

TAR_BLOCK_BYTES = 512
_MAX_MEMBERS = 100_000
_MAX_RECORD_BYTES = 1 << 20
_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL = b"L", b"K", b"x", b"g"
_KEYS = {"path": "name", "GNU.sparse.name": "name", "linkpath": "link", "size": "size"}


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One header: its type as the format's letter, its names, and where its content lies."""

    offset: int
    kind: bytes
    name: str
    link: str
    data: Span


def is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a header, by its checksum."""
    if len(block) < TAR_BLOCK_BYTES or not block[0]:
        return False
    stated = _octal(block[148:156])
    header = block[:148] + b" " * 8 + block[156:TAR_BLOCK_BYTES]
    return stated > 0 and stated == sum(header)


def tar_entries(source: Source) -> Iterator[TarEntry]:
    """The entries of the archive, to its end or to the end of the file.

    Raises:
        MalformedError: a header or record is damaged, or content reaches past the end.
        LimitError: too many entries, or overlong records.
    """
    at = 0
    given: dict[str, str] = {}
    for _ in range(_MAX_MEMBERS):
        block = source.read_at(at, TAR_BLOCK_BYTES)
        if not any(block):
            return
        if not is_tar_header(block):
            raise MalformedError("a tar header is damaged", source=source.name, offset=at)
        kind = block[156:157]
        size = int(given["size"]) if "size" in given else _size(block)
        data = Span(at + TAR_BLOCK_BYTES, at + TAR_BLOCK_BYTES + size)
        if data.stop > source.size_bytes:
            raise MalformedError("a member reaches past the end", source=source.name, offset=at)
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL):
            given |= _records(source, data, kind)
        else:
            yield TarEntry(at, kind, *_names(block, given), data)
            given = {}
        at = data.stop + -size % TAR_BLOCK_BYTES
    raise LimitError(f"more than {_MAX_MEMBERS} members", source=source.name)


def end_of_tar(source: Source, at: int) -> int:
    """Where zeros that begin at `at` end: what stands there is no part of the archive."""
    while at < source.size_bytes:
        block = source.read_at(at, 1 << 16)
        rest = block.lstrip(b"\0")
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    return int(text, 8) if text and not text.strip(b"01234567") else -1


def _size(block: bytes) -> int:
    field = block[124:136]
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return max(0, _octal(field))


def _names(block: bytes, given: dict[str, str]) -> tuple[str, str]:
    prefix = block[345:500].split(b"\0")[0] if block[257:262] == b"ustar" else b""
    parts = [part for part in (prefix, block[:100].split(b"\0")[0]) if part]
    name = b"/".join(parts).decode("utf-8", "replace")
    link = block[157:257].split(b"\0")[0].decode("utf-8", "replace")
    return given.get("name", name), given.get("link", link)


def _records(source: Source, data: Span, kind: bytes) -> dict[str, str]:
    if data.size_bytes > _MAX_RECORD_BYTES:
        raise LimitError(f"tar records of {data.size_bytes} bytes", source=source.name)
    raw = read_exactly(source, data.start, data.size_bytes, "tar records")
    if kind in (_LONG_NAME, _LONG_LINK):
        return {
            "name" if kind == _LONG_NAME else "link": raw.split(b"\0")[0].decode("utf-8", "replace")
        }
    found: dict[str, str] = {}
    while raw.strip(b"\0"):
        length = raw.partition(b" ")[0]
        size = int(length) if length.isdigit() and len(length) < 8 else 0
        key, equals, value = raw[len(length) + 1 : size].partition(b"=")
        if not 0 < size <= len(raw) or not equals:
            raise MalformedError("a pax record is damaged", source=source.name, offset=data.start)
        told = _KEYS.get(key.decode("utf-8", "replace"))
        if told is not None:
            found[told] = value[:-1].decode("utf-8", "replace")
        raw = raw[size:]
    if not found.get("size", "0").isdecimal() or len(found.get("size", "")) > 18:
        raise MalformedError("the size in a pax record is no number", offset=data.start)
    return found
