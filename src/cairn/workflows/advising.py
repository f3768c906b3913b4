"""Takes in advisories offline: OSV records, exports of them, and lists of files known to be bad."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.domain import Digest, KnownFile
from cairn.errors import EntryNotFoundError, LimitError, MalformedError
from cairn.scanner.advisories import (
    MAX_LIST_BYTES,
    MAX_RECORD_BYTES,
    AdvisoryShelf,
    advisories_in,
    cut_record,
    parse_known_files,
    record_id,
)

_SUFFIXES = (".json", ".csv")
_MAX_MEMBERS = 1_000_000

Json = dict[str, Any]


@dataclass
class Imported:
    """What an import brought: new or newer records, files known to be bad, and what was left.

    `irrelevant` records are about nothing that loads checkpoints; `withdrawn` ones were taken
    back by who published them; `unreadable` files are neither record nor list.
    """

    records: int = 0
    known_files: int = 0
    irrelevant: int = 0
    withdrawn: int = 0
    unreadable: list[str] = field(default_factory=list)


def import_advisories(shelf: AdvisoryShelf, path: Path) -> Imported:
    """Add what a file, a folder or a zip archive holds to a shelf; newer records replace older.

    Raises:
        EntryNotFoundError: there is nothing at `path`.
        MalformedError, LimitError: it is one file, and no record, list or archive; or a list in
            it is damaged, so that nothing was taken in.
        UnavailableError: the shelf cannot be read or written.
    """
    if not path.exists():
        raise EntryNotFoundError(f"{path}: no such file or folder")
    records, known = shelf.records(), shelf.known_files()
    done = Imported()
    for name, content in _documents(path):
        if not _take(name, content, records, known, done):
            done.unreadable.append(name)
    if done.unreadable == [path.name]:
        raise MalformedError(
            "neither an OSV record, nor a list of files known to be bad, nor an archive of them",
            source=str(path),
        )
    shelf.keep(records.values(), known.values())
    return done


def forget(shelf: AdvisoryShelf, what: str) -> bool:
    """Take out an imported advisory by its id, or a known file by its SHA-256; False if none."""
    records, known = shelf.records(), shelf.known_files()
    found = records.pop(what, None) is not None
    for digest in [digest for digest in known if digest.hex == what.lower()]:
        found = known.pop(digest) is not None
    if found:
        shelf.keep(records.values(), known.values())
    return found


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of what could be records or lists."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix.lower() in (*_SUFFIXES, ".zip"):
                yield from _documents(file)
    elif path.suffix.lower() == ".zip":
        yield from _members(path)
    else:
        yield path.name, _read(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise LimitError(f"longer than {MAX_LIST_BYTES:,} bytes", source=str(path))
    return content


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            if len(listed) > _MAX_MEMBERS:
                raise LimitError(f"more than {_MAX_MEMBERS:,} members", source=str(path))
            for member in listed:
                if member.filename.lower().endswith(_SUFFIXES):
                    with archive.open(member) as file:
                        yield member.filename, file.read(MAX_RECORD_BYTES + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise MalformedError(
            f"no zip archive that can be read: {error}", source=str(path)
        ) from None


def _take(
    name: str,
    content: bytes,
    records: dict[str, Json],
    known: dict[Digest, KnownFile],
    done: Imported,
) -> bool:
    """Add a document; False if it is none that is read here."""
    if name.lower().endswith(".csv"):
        _take_known(name, content, known, done)
        return True
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, list) and value and all(_names_a_file(one) for one in value):
        _take_known(name, content, known, done)
        return True
    listed = value if isinstance(value, list) else [value]
    taken = [_take_record(one, records, done) for one in listed]
    return bool(taken) and all(taken)


def _names_a_file(value: object) -> bool:
    return isinstance(value, dict) and "sha256" in value


def _take_known(name: str, content: bytes, known: dict[Digest, KnownFile], done: Imported) -> None:
    for one in parse_known_files(content, name):
        known[one.digest] = one
        done.known_files += 1


def _take_record(record: object, records: dict[str, Json], done: Imported) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        return False
    key = record_id(record)
    if key is None:
        done.withdrawn += records.pop(record["id"], None) is not None
        return bool(record.get("withdrawn"))
    if not advisories_in(record):
        done.irrelevant += 1
        return True
    before = records.get(key)
    if before is None or str(record.get("modified")) > str(before.get("modified")):
        records[key] = cut_record(record)
        done.records += 1
    return True
