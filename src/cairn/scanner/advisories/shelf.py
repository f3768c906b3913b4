"""Where advisories are kept: those that come with Cairn, and those imported into a folder.

advisories.json     OSV records, a JSON array
known-files.csv     files known to be bad
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from cairn.domain import Advisory, Digest, KnownFile, LoaderFloor
from cairn.errors import UnavailableError
from cairn.scanner.advisories.concern import floor_of
from cairn.scanner.advisories.known_files import known_files_csv, parse_known_files
from cairn.scanner.advisories.osv import advisories_in, record_id

RECORDS = "advisories.json"
KNOWN_FILES = "known-files.csv"

Json = dict[str, Any]
_Seen = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class AdvisoryData:
    """Advisories by id and loader, and files known to be bad, at one time."""

    advisories: tuple[Advisory, ...] = ()
    known_files: Mapping[Digest, KnownFile] | None = None

    @cached_property
    def floors(self) -> Mapping[str, LoaderFloor]:
        """The good releases of each loader that an advisory is about."""
        by_loader: dict[str, list[Advisory]] = {}
        for one in self.advisories:
            by_loader.setdefault(one.loader, []).append(one)
        return {loader: floor_of(loader, about) for loader, about in by_loader.items()}

    @cached_property
    def version(self) -> str:
        """Names all of it: another one means that reports may differ."""
        digest = sha256(self.known_version.encode())
        for one in sorted(self.advisories, key=lambda one: (one.id, one.loader)):
            digest.update(f"{one.id} {one.loader} {one.modified} {one.ranges}\n".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def known_version(self) -> str:
        """Names the files known to be bad: another one means that verdicts may differ."""
        if not self.known_files:
            return ""
        return sha256(known_files_csv(self.known_files.values())).hexdigest()[:16]

    def known(self, digest: Digest) -> KnownFile | None:
        """Why these bytes are bad; None if nobody says so."""
        return None if self.known_files is None else self.known_files.get(digest)

    def may_be_known(self, size_bytes: int) -> bool:
        """Whether a file of this size could be one known to be bad."""
        return size_bytes in self._sizes or None in self._sizes

    @cached_property
    def _sizes(self) -> frozenset[int | None]:
        known = self.known_files or {}
        return frozenset(one.size_bytes for one in known.values())


class AdvisoryShelf:
    """What comes with Cairn and what a folder holds, read again when that changes; thread-safe."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = Lock()
        self._seen: _Seen | None = None
        self._data = AdvisoryData()

    def current(self) -> AdvisoryData:
        """What is known now.

        Raises:
            MalformedError, UnavailableError: the folder cannot be read, or holds something else.
        """
        seen = self._state()
        with self._lock:
            if seen != self._seen:
                self._data = self._read()
                self._seen = seen
            return self._data

    def records(self) -> dict[str, Json]:
        """The imported OSV records, by id."""
        path = self._path(RECORDS)
        if path is None or not path.exists():
            return {}
        try:
            listed = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UnavailableError(f"{path} cannot be read: {error}; import it again") from None
        records = listed if isinstance(listed, list) else []
        return {key: one for one in records if (key := record_id(one)) is not None}

    def known_files(self) -> dict[Digest, KnownFile]:
        """The imported files known to be bad, by digest."""
        path = self._path(KNOWN_FILES)
        if path is None or not path.exists():
            return {}
        known = parse_known_files(path.read_bytes(), str(path))
        return {one.digest: one for one in known}

    def keep(self, records: Iterable[Json], known: Iterable[KnownFile]) -> None:
        """Have the folder hold these and nothing else; a kill leaves the old or the new.

        Raises:
            UnavailableError: it cannot be written.
        """
        assert self._folder is not None
        ordered = sorted(records, key=lambda one: str(one["id"]))
        text = json.dumps(ordered, separators=(",", ":")).encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, content in ((RECORDS, text), (KNOWN_FILES, known_files_csv(known))):
                draft = self._folder / f".{name}"
                draft.write_bytes(content)
                draft.replace(self._folder / name)
        except OSError as error:
            raise UnavailableError(f"{self._folder} cannot be written: {error.strerror}") from error

    def _read(self) -> AdvisoryData:
        records = {**_shipped(), **self.records()}
        advisories = [one for record in records.values() for one in advisories_in(record)]
        return AdvisoryData(tuple(advisories), self.known_files())

    def _state(self) -> _Seen:
        return tuple(_stamp(self._path(name)) for name in (RECORDS, KNOWN_FILES))

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@cache
def _shipped() -> dict[str, Json]:
    """The records that come with Cairn, by id."""
    folder = Path(__file__).parent / "records"
    records = [json.loads(one.read_text("utf-8")) for one in folder.iterdir()]
    return {record["id"]: record for record in records}
