"""Some blobs of a store, with all that they are made from, in one file: an uncompressed tar.

| member | content | count |
|---|---|---|
| `cairn-family.json` | what the file holds: JSON, see below | first |
| `FORMAT` | `cairn-store 2` and a line feed | second |
| `names/ab/<sha256 of a name>` | as in a store (`names.py`) | any |
| `repos/...` | what a hub knows of repos (`docs/family-file.md`) | any |
| `packs/<id>.pack` | as in a store (`packs.py`) | any |
| `raw/ab/<sha256>` | the plain bytes of a blob | one of the two |
| `recipes/ab/<sha256>` | as in a store (`recipes.py`) | for each blob |
| `sketches/ab/<sha256>` | as in a store (`sketches.py`) | any |
| `BLAKE3` | BLAKE3-256 of all bytes before this member's header, in hex, and a line feed | last |

Unpacked into an empty folder it is a store. The JSON object has `format` (`cairn-family`),
`version` (1), `blobs`, `plain_bytes` of those blobs together, `parts`, and `stored_bytes`:
what packs, recipes, sketches and raw blobs take. Each part is there once, and its record's depth
is one more than that of its deepest base. Headers are of the ustar kind, with sizes of 8 GiB and
more in base 256, as GNU tar writes them
(https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from blake3 import blake3

from cairn.domain import Span
from cairn.errors import (
    IntegrityError,
    LimitError,
    MalformedError,
    RequestError,
    UnknownFormatError,
)
from cairn.formats.sources import FileSource
from cairn.formats.strict_json import is_integer, parse_json
from cairn.formats.tar_archive import members_of
from cairn.store.backends.archive import ArchiveBackend
from cairn.store.backends.base import check_key
from cairn.store.format_mark import FORMAT_KEY
from cairn.store.keys import NAMES, PACKS, RAW, RECIPES, SKETCHES
from cairn.store.names import MAX_RECORD_BYTES, NamedBlob, name_key, parse_name

VERSION = 1
HEAD_KEY = "cairn-family.json"
CHECK_KEY = "BLAKE3"
REPOS = "repos/"
_FORMAT = "cairn-family"
_KINDS = (NAMES, REPOS, PACKS, RAW, RECIPES, SKETCHES)
_TAR_BLOCK = tarfile.BLOCKSIZE

BLOCK_BYTES = 1 << 20
MAX_HEAD_BYTES = 64 << 10

# A member takes some 300 bytes of memory. A blob is three at most, and a store of so many is
# better copied as a folder.
MAX_MEMBERS = 2_000_000

Write = Callable[[bytes | memoryview], object]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class FamilyHead:
    """What a family file says it holds: blobs, their plain bytes, parts, and bytes they take."""

    blobs: int
    plain_bytes: int
    parts: int
    stored_bytes: int

    def encode(self) -> bytes:
        """The member's bytes."""
        said = {"format": _FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(said, indent=1).encode() + b"\n"


def parse_head(data: bytes, source: str) -> FamilyHead:
    """A head from its member's bytes; keys not known are ignored.

    Raises:
        MalformedError: it is not such an object.
        UnknownFormatError: it is of a newer version.
    """
    said = parse_json(data, source, what=HEAD_KEY)
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise MalformedError(f"{HEAD_KEY} does not say `{_FORMAT}`", source=source)
    if said.get("version") != VERSION:
        raise UnknownFormatError(
            f"a family file of version {str(said.get('version'))[:20]}, this Cairn reads {VERSION}",
            source=source,
            hint="Update Cairn",
        )
    counts: list[int] = []
    for key in ("blobs", "plain_bytes", "parts", "stored_bytes"):
        count = said.get(key)
        if not isinstance(count, int) or not is_integer(count) or not 0 <= count < 1 << 63:
            raise MalformedError(f"{HEAD_KEY} does not say how many {key}", source=source)
        counts.append(count)
    return FamilyHead(*counts)


class FamilyWriter:
    """Writes the members one after the other; `write` takes bytes and may be that of a pipe."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._hash = blake3()
        self._size = 0

    def add(self, key: str, size_bytes: int, chunks: Iterable[bytes | memoryview]) -> None:
        """Write a member whose bytes come in chunks.

        Raises:
            RequestError: they are more or fewer than announced.
        """
        self._put(_header(check_key(key), size_bytes))
        start = self._size
        for chunk in chunks:
            self._put(chunk)
        if self._size - start != size_bytes:
            raise RequestError(f"{key} has {self._size - start} bytes, announced as {size_bytes}")
        self._put(bytes(-size_bytes % _TAR_BLOCK))

    def add_bytes(self, key: str, data: bytes | memoryview) -> None:
        """Write a member held in memory."""
        self.add(key, len(data), [data])

    def finish(self) -> None:
        """Write the checksum and the end of the archive."""
        self.add_bytes(CHECK_KEY, self._hash.hexdigest().encode() + b"\n")
        self._put(bytes(2 * _TAR_BLOCK))
        self._put(bytes(-self._size % tarfile.RECORDSIZE))

    def _put(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._write(data)


def _header(key: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(key)
    member.size = size_bytes
    return member.tobuf(tarfile.GNU_FORMAT)


class FamilyFile:
    """An opened family file: which members it has; none of them is looked into but the head.

    A context manager.
    """

    def __init__(self, path: Path) -> None:
        """Read every header.

        Raises:
            EntryNotFoundError: there is no such file.
            RequestError: it is not a regular file, or may not be read.
            UntrustedDataError: it is not a family file, or was cut short.
        """
        self.source = FileSource(path)
        try:
            self._places = _places(self.source)
            self.objects = ArchiveBackend(self.source, self._places)
            self.head = parse_head(self.read(HEAD_KEY, MAX_HEAD_BYTES), self.source.name)
        except BaseException:
            self.close()
            raise

    def keys(self, prefix: str) -> list[str]:
        """The members whose name starts so, in the order of the file."""
        return [key for key in self._places if key.startswith(prefix)]

    def place(self, key: str) -> Span:
        """Where the bytes of a member lie."""
        return self._places[key]

    def read(self, key: str, max_bytes: int) -> bytes:
        """A whole member.

        Raises:
            LimitError: it has more than `max_bytes`.
        """
        place = self._places[key]
        if place.size_bytes > max_bytes:
            raise LimitError(
                f"{key} has {place.size_bytes} bytes, at most {max_bytes} are read",
                source=self.source.name,
                offset=place.start,
            )
        return self.source.read_at(place.start, place.size_bytes)

    def names(self) -> list[NamedBlob]:
        """The names in it, sorted.

        Raises:
            UntrustedDataError: a record is damaged, or lies under another name's key.
        """
        return sorted(map(self._named, self.keys(NAMES)), key=lambda named: named.name)

    def _named(self, key: str) -> NamedBlob:
        try:
            named = parse_name(self.read(key, MAX_RECORD_BYTES))
        except IntegrityError as error:
            raise self.malformed(error, key) from None
        if name_key(named.name) != key:
            raise self.malformed("it is the record of another name", key)
        return named

    def check(self, progress: Progress) -> None:
        """Compare all bytes with the checksum at the end; `progress` gets bytes newly read.

        Raises:
            MalformedError: they differ.
        """
        place = self._places[CHECK_KEY]
        found, stop = blake3(), place.start - _TAR_BLOCK
        for at in range(0, stop, BLOCK_BYTES):
            block = self.source.read_at(at, min(BLOCK_BYTES, stop - at))
            found.update(block)
            progress(len(block))
        if self.read(CHECK_KEY, _TAR_BLOCK) != found.hexdigest().encode() + b"\n":
            raise MalformedError(
                "its bytes do not match the checksum at its end",
                source=self.source.name,
                hint="Copy the file again, or export it again",
            )

    def malformed(self, why: object, key: str) -> MalformedError:
        """The error for a member that holds something else than it should."""
        return MalformedError(
            f"{key}: {why}", source=self.source.name, offset=self._places[key].start
        )

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _places(source: FileSource) -> dict[str, Span]:
    """Where each member lies.

    Raises:
        UntrustedDataError: a header is damaged, or this is not a family file.
    """
    if not source.read_at(0, _TAR_BLOCK).startswith(HEAD_KEY.encode() + b"\0"):
        raise UnknownFormatError(
            "not a family file", source=source.name, hint="`cairn store export` writes them"
        )
    found: dict[str, Span] = {}
    for member in members_of(source, MAX_MEMBERS):
        key = member.name
        if key in found or CHECK_KEY in found or not _belongs(key):
            raise MalformedError(
                f"member {key[:200]!r} does not belong here", source=source.name,
                offset=member.data.start,
            )  # fmt: skip
        found[key] = member.data
    if FORMAT_KEY not in found or CHECK_KEY not in found:
        raise MalformedError(f"{FORMAT_KEY} or {CHECK_KEY} is missing", source=source.name)
    return found


def _belongs(key: str) -> bool:
    if key in (HEAD_KEY, FORMAT_KEY, CHECK_KEY):
        return True
    try:
        return check_key(key).startswith(_KINDS)
    except RequestError:
        return False
