"""The bytes of a reframed file at any offset, read from the files its tensors lie in.

Spans are read where they are. Values that have to be computed are streamed from the first byte
asked for, and the stream is kept for the next read, so that reading on costs nothing twice.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats.dtypes import numpy_dtype
from cairn.formats.folder import Files, beside
from cairn.formats.quantised import dequantise
from cairn.formats.reframing import Outgoing, Reframing, Run
from cairn.formats.sources import read_exactly
from cairn.formats.values import blocks

MAX_OPEN_FILES = 32
"""Files kept open at once: a distributed checkpoint has one per process that trained it."""


class ReframedSource:
    """A reframed file as a `Source`; a context manager. Threads take turns."""

    def __init__(self, reframing: Reframing, files: Files, name: str) -> None:
        self._reframing = reframing
        self._starts = [run.start for run in reframing.runs]
        self._files = OpenFiles(files)
        self._name = name
        self._stream: _Stream | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The label given."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, header included."""
        return self._reframing.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly the bytes `offset .. offset + length`, fewer only at the end.

        Raises:
            UntrustedDataError: a file beneath does not hold what its layout said.
        """
        stop = min(offset + max(0, length), self.size_bytes)
        header = self._reframing.header
        parts: list[bytes] = [header[offset:stop]] if offset < len(header) else []
        at = max(offset, len(header))
        with self._lock:
            number = bisect_right(self._starts, at) - 1
            while at < stop:
                run = self._reframing.runs[number]
                upto = min(stop, run.stop)
                parts.extend(self._read(run, at - run.start, upto - run.start))
                at, number = upto, number + 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read(self, run: Run, start: int, stop: int) -> Iterator[bytes]:
        if run.span is not None:
            source = self._files.source(run.path, run.of.path)
            yield read_exactly(source, run.span.start + start, stop - start, "a tensor")
            return
        stream = self._stream
        if stream is None or not stream.reaches(run, start):
            stream = self._stream = _Stream(run, values(run.of, self._files, start), start)
        yield from stream.read(start, stop)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._stream = None
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Stream:
    """The values of one run being computed, with the last block at hand."""

    def __init__(self, run: Run, blocks: Iterator[memoryview], at: int) -> None:
        self._run = run
        self._blocks = blocks
        self._block = memoryview(b"")
        self._at = at  # where in the run the block begins

    def reaches(self, run: Run, start: int) -> bool:
        """Whether `start` lies in the block at hand or just after it."""
        return run is self._run and self._at <= start <= self._at + len(self._block)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start .. stop` of the run; `start` must be reached."""
        while start < stop:
            if start == self._at + len(self._block):
                self._at = start
                self._block = next(self._blocks, memoryview(b""))
                if not self._block:
                    raise MalformedError(
                        f"tensor {self._run.of.tensor.name[:200]!r} has fewer values than declared",
                        source=self._run.path,
                    )
            upto = min(stop, self._at + len(self._block))
            yield bytes(self._block[start - self._at : upto - self._at])
            start = upto


def values(outgoing: Outgoing, files: "OpenFiles", start: int = 0) -> Iterator[memoryview]:
    """The values as they are written, from byte `start` on."""
    own = files.later(outgoing.path, outgoing.path) if outgoing.path in files else None

    @contextmanager
    def open_part(reference: str) -> Iterator[Source]:
        yield files.source(beside(outgoing.path, reference), outgoing.path)

    tensor = outgoing.tensor
    if outgoing.dtype is tensor.dtype:
        return blocks(tensor, own, open_part, start=start)
    width, together = outgoing.dtype.block_bytes, tensor.dtype.block_elements
    first = start // (width * together)  # the block of quantised elements that holds `start`
    raw = blocks(tensor, own, open_part, start=first * tensor.dtype.block_bytes)
    return _numbers(outgoing, raw, first * together, start - first * together * width)


def _numbers(
    outgoing: Outgoing, raw: Iterator[memoryview], first: int, skipped: int
) -> Iterator[memoryview]:
    """Blocks of a quantised type from element `first` on, as numbers, without `skipped` bytes."""
    kind = numpy_dtype(outgoing.dtype)
    left = outgoing.tensor.elements - first
    for block in raw:
        numbers = dequantise(outgoing.tensor.dtype, np.frombuffer(block, np.uint8))[:left]
        left -= len(numbers)
        with np.errstate(over="ignore"):  # too large for the type wanted: infinite
            plain = numbers.astype(kind).view(np.uint8).data
        yield plain[skipped:]
        skipped = 0


def differing(
    reframing: Reframing, files: Files, written: Source, progress: Callable[[int], None]
) -> str | None:
    """The first tensor whose values in `written` are not those in the files; None if all are.

    `progress` gets bytes newly compared.
    """
    at = len(reframing.header)
    opened = OpenFiles(files)
    try:
        for outgoing in reframing.tensors:
            for block in values(outgoing, opened):
                if written.read_at(at, len(block)) != block:
                    return outgoing.name
                at += len(block)
                progress(len(block))
    finally:
        opened.close()
    return None


class OpenFiles:
    """Files of a checkpoint by path, opened when first read; only some stay open."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._open: OrderedDict[str, tuple[AbstractContextManager[Source], Source]] = OrderedDict()

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def later(self, path: str, listed_in: str) -> Source:
        """The file at `path`, opened anew whenever it is read and was closed meanwhile."""
        return _Reopened(self, path, listed_in, self._files[path].size_bytes)

    def source(self, path: str, listed_in: str) -> Source:
        """The file at `path`, to be read before the next call.

        Raises:
            MalformedError: it is not there, or `listed_in` refers to it and it leads out.
        """
        if path not in self._open:
            file = self._files.get(path)
            if file is None:
                raise MalformedError(f"refers to {path[:200]!r}, not there", source=listed_in)
            if path != listed_in and file.leads_out:
                raise MalformedError(
                    f"refers to {path[:200]!r}, a link that leads out of the checkpoint",
                    source=listed_in,
                )
            opening = file.open()
            self._open[path] = (opening, opening.__enter__())
            if len(self._open) > MAX_OPEN_FILES:
                _, (oldest, _) = self._open.popitem(last=False)
                oldest.__exit__(None, None, None)
        self._open.move_to_end(path)
        return self._open[path][1]

    def close(self) -> None:
        """Close all."""
        while self._open:
            _, (opening, _) = self._open.popitem()
            opening.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class _Reopened:
    """A file that may be closed between two reads."""

    files: OpenFiles
    name: str
    listed_in: str
    size_bytes: int

    def read_at(self, offset: int, length: int) -> bytes:
        return self.files.source(self.name, self.listed_in).read_at(offset, length)
