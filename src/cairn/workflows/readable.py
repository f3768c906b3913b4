"""A checkpoint together with its open-able files: what is needed to read tensor values."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cairn.domain import Checkpoint, Source, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.folder import File, Files, beside
from cairn.formats.limits import MAX_VALUE_RATIO, MIN_VALUE_BYTES

BLOCK_BYTES = 1 << 20
"""Bytes handed out at once; see `cairn.formats.values`."""


def max_value_bytes(held: int) -> int:
    """Bytes of values worth reading from files of `held` bytes together."""
    return max(MIN_VALUE_BYTES, MAX_VALUE_RATIO * held)


@dataclass(frozen=True, slots=True)
class ReadableCheckpoint:
    """What inspect found, and the files it was found in."""

    checkpoint: Checkpoint
    files: Files

    def blocks(
        self, path: str, tensor: TensorInfo, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[memoryview]:
        """The values of a tensor that `checkpoint.tensors()` lists under `path`, streamed.

        See `cairn.formats.values.blocks`. Files stay open until the iterator ends.

        Raises:
            UntrustedDataError: the values cannot be read; see there.
        """
        # Imported here: listing a checkpoint needs no arrays.
        from cairn.formats.values import blocks

        with ExitStack() as stack:
            opened: dict[str, Source] = {}

            def open_once(name: str) -> Source:
                if name not in opened:
                    opened[name] = stack.enter_context(self._file(path, name).open())
                return opened[name]

            @contextmanager
            def open_part(reference: str) -> Iterator[Source]:
                yield open_once(beside(path, reference))

            own = open_once(path) if path in self.files else None
            yield from blocks(tensor, own, open_part, block_bytes)

    @property
    def max_value_bytes(self) -> int:
        """Bytes of values worth reading: far more than honest files of this size hold."""
        return max_value_bytes(sum(file.size_bytes for file in self.files.values()))

    def _file(self, path: str, name: str) -> File:
        file = self.files.get(name)
        if file is None:
            raise MalformedError(f"refers to {name[:200]!r}, which is not there", source=path)
        if name != path and file.leads_out:
            raise MalformedError(
                f"refers to {name[:200]!r}, a link that leads out of the checkpoint", source=path
            )
        return file
