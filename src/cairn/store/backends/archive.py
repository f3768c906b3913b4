"""The objects of a store as the members of one tar file, to be read only."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from cairn.domain import Source, Span
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.backends.base import ObjectInfo, ObjectNotFoundError


class ArchiveBackend:
    """Objects at known places of a file; all of one age, none changes."""

    def __init__(self, source: Source, places: Mapping[str, Span]) -> None:
        self._source = source
        self._places = places

    def draft(self) -> NoReturn:
        """Refuse: see `_refuse`."""
        self._refuse()

    def open(self, key: str) -> "ArchivedObject":
        """An object to read."""
        return ArchivedObject(self._source, self._place(key))

    def info(self, key: str) -> ObjectInfo:
        """The size of an object."""
        return ObjectInfo(key, self._place(key).size_bytes, 0.0)

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""
        return key in self._places

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix`, in the order of the file."""
        for key, place in self._places.items():
            if key.startswith(prefix):
                yield ObjectInfo(key, place.size_bytes, 0.0)

    def delete(self, key: str) -> NoReturn:
        """Refuse: see `_refuse`."""
        self._refuse(key)

    def touch(self, key: str) -> NoReturn:
        """Refuse: see `_refuse`."""
        self._refuse(key)

    def local_path(self, key: str) -> Path | None:
        """None: an object is a piece of a file."""
        del key
        return None

    def sweep_drafts(self, older_than_s: float) -> int:
        """Nothing: there are no drafts."""
        del older_than_s
        return 0

    def _place(self, key: str) -> Span:
        try:
            return self._places[key]
        except KeyError:
            raise ObjectNotFoundError(f"{self._source.name} has no object {key}") from None

    def _refuse(self, key: str = "") -> NoReturn:
        """Raise UnavailableError: the file is read only."""
        raise UnavailableError(f"{self._source.name} is read only; it keeps no new object {key}")


class ArchivedObject:
    """A piece of a file."""

    def __init__(self, source: Source, place: Span) -> None:
        self._source = source
        self._place = place

    @property
    def size_bytes(self) -> int:
        """Total bytes."""
        return self._place.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the object."""
        wanted = min(length, self.size_bytes - offset)
        return self._source.read_at(self._place.start + offset, wanted) if wanted > 0 else b""

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `offset` on; see `OpenObject.read_into`."""
        data = self.read_at(offset, len(out))
        if len(data) != len(out):
            raise IntegrityError(f"{self._source.name} ends at byte {offset + len(data)}")
        out[:] = data

    def close(self) -> None:
        """Nothing: the file stays open for the others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
