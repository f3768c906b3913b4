"""Every xorb that a shard may name: staged in its scope, or a run of a blob its sender may read."""

from typing import Protocol

from cairn.hub.xet.known import Known
from cairn.hub.xet.staged import NotStagedError, Staged
from cairn.hub.xet.xorb import ChunkTable


class Xorbs(Protocol):
    """Where the chunks of a file come from; may be used from several threads."""

    def table(self, name: bytes) -> ChunkTable:
        """The chunk table of a xorb; NotStagedError if it may not be named here."""
        ...

    def fill(self, name: bytes, start: int, stop: int, out: memoryview) -> None:
        """Put the plain bytes of chunks `start` to `stop` (exclusive) of a xorb into `out`.

        Raises:
            NotStagedError: it may not be named here, or not any more.
            IntegrityError: what is kept of it is damaged.
        """
        ...


class StagedOrKnown:
    """What was sent comes first; to have sent it is enough, whoever may read it."""

    def __init__(self, staged: Staged, known: Known) -> None:
        self._staged = staged
        self._known = known

    def table(self, name: bytes) -> ChunkTable:
        """See `Xorbs.table`."""
        try:
            return self._staged.table(name)
        except NotStagedError:
            table = self._known.table(name)
            if table is None:
                raise
            return table

    def fill(self, name: bytes, start: int, stop: int, out: memoryview) -> None:
        """See `Xorbs.fill`."""
        try:
            self._staged.fill(name, start, stop, out)
        except NotStagedError:
            if not self._known.fill(name, start, stop, out):
                raise
