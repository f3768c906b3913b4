"""Makes family files for tests: whole ones from a store, and ones that somebody tampered with."""

from collections.abc import Callable, Iterable
from pathlib import Path

from cairn.domain import Digest
from cairn.store import BlobStore, FamilyContents, FamilyFile, Imported
from cairn.store.family_file import CHECK_KEY, FamilyWriter
from cairn.store.packs import Encoded, PackDraft, read_encoded, scan

Members = list[tuple[str, bytes]]


def unseen(done: int) -> None:
    """Progress that nobody looks at."""


def export(store: BlobStore, digests: Iterable[Digest], path: Path) -> Path:
    """A family file of these blobs."""
    with store.exporting(digests) as made, path.open("wb") as out:
        made.write(out.write, unseen)
    return path


def take(store: BlobStore, path: Path) -> Imported:
    """Import a family file."""
    with FamilyFile(path) as file:
        file.check(unseen)
        with store.importing(FamilyContents(file), unseen) as done:
            return done


def members(path: Path) -> Members:
    """The members of a family file but the checksum."""
    with FamilyFile(path) as file:
        return [(key, file.read(key, 1 << 30)) for key in file.keys("") if key != CHECK_KEY]


def written(path: Path, members: Members) -> Path:
    """A family file of these members, whose checksum is right."""
    with path.open("wb") as out:
        writer = FamilyWriter(out.write)
        for key, data in members:
            writer.add_bytes(key, data)
        writer.finish()
    return path


def tampered(path: Path, change: Callable[[str, bytes], Members]) -> Path:
    """The file with every member replaced by what `change` makes of it."""
    made = [new for key, data in members(path) for new in change(key, data)]
    return written(path.with_suffix(".tampered"), made)


def repacked(change: Callable[[list[Encoded]], list[Encoded]]) -> Callable[[str, bytes], Members]:
    """For `tampered`: packs hold what `change` makes of their records, well formed."""

    def made(key: str, data: bytes) -> Members:
        if not key.startswith("packs/"):
            return [(key, data)]
        pack = InMemory(bytearray(data))
        records = [read_encoded(pack, r.offset, r.stored_bytes, r.digest) for r in scan(pack)]
        draft = PackDraft(InMemory(bytearray()))
        for record in change(records):
            draft.append(record)
        return [(f"packs/{draft.finish().id}.pack", bytes(draft.draft.data))]

    return made


class InMemory:
    """Bytes that can be read and appended to as an object of a store."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def write(self, data: bytes | memoryview) -> None:
        self.data += data

    def sync(self) -> None: ...

    def close(self) -> None: ...
