"""A file of a revision as a source: the stored bytes under the path they have in the repo."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cairn.domain import Entry
from cairn.store import BlobReader
from cairn.workflows.checkpoint_names import claims_tensors
from cairn.workflows.house import House


@dataclass(frozen=True)
class StoredFile:
    """A stored blob as a `Source` that carries its path in the repo."""

    name: str
    reader: BlobReader

    @property
    def size_bytes(self) -> int:
        """Plain bytes."""
        return self.reader.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        return self.reader.read_at(offset, length)


@contextmanager
def opened(house: House, entry: Entry) -> Iterator[StoredFile]:
    """The file's bytes, for as long as the context lasts.

    Raises:
        BlobNotFoundError, IntegrityError: the store lost or damaged them.
    """
    with house.store.open(entry.blob.digest) as reader:
        yield StoredFile(entry.path, reader)


def looks_like_checkpoint(entry: Entry) -> bool:
    """Whether the file's name is one that tensors are kept under."""
    return claims_tensors(entry.path)
