"""A training series: each step's tensors kept as one safetensors file of a store in a folder.

Step 100 of the series `run-1` is the blob named `run-1/step-100.safetensors`, so that
`cairn store ls`, `get` and every reader of safetensors know it. Saving streams the tensors into the
store and returns when they are durable; a thread then keeps them as differences to earlier steps.
"""

import queue
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cairn.domain import Digest, Retention, Span, TensorInfo
from cairn.errors import BlobNotFoundError, CairnError, EntryNotFoundError, RequestError
from cairn.formats import read_layout
from cairn.formats.dtypes import numpy_dtype, unit_dtype
from cairn.formats.reframing import Outgoing, reframe
from cairn.store import Collected, NamedBlob
from cairn.workflows.folder_store import FolderStore, collect_folder, open_folder, put_named
from cairn.workflows.handed_tensors import Handed, handed
from cairn.workflows.optimize import optimize_blob

_STEP = re.compile(r"step-(\d+)\.safetensors\Z")
_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Pruned:
    """The steps that went, and what removing them freed."""

    removed: tuple[int, ...]
    kept: tuple[int, ...]
    collected: Collected


class Series:
    """The steps of one training run in a store in a folder, which is made if it is not there.

    A context manager: leaving it waits until everything saved is kept small. After a kill every
    step whose `save` returned is there; what was not made small yet is when the series is opened
    again.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
        """Open or begin the series `name`.

        Raises:
            RequestError: the folder holds something else, or the name is none.
        """
        if not name.strip("/") or name != name.strip("/"):
            raise RequestError(f"{name!r} cannot name a series")
        self.name = name
        self._folder: FolderStore = open_folder(Path(folder), create=True)
        self._waiting: queue.SimpleQueue[Digest | None] = queue.SimpleQueue()
        self._error: CairnError | None = None
        self._closed = False
        for digest in self._folder.store.pending():
            self._waiting.put(digest)
        self._thread = threading.Thread(target=self._optimize, name="cairn-series", daemon=True)
        self._thread.start()

    def save(
        self, step: int, tensors: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> NamedBlob:
        """Keep the tensors of a step: NumPy arrays, or tensors that have `__dlpack__`.

        Durable when this returns; the tensors may change from then on. Saving a step again takes
        the place of what was saved. `metadata` are JSON values, such as the loss: they are found
        by `metadata` and `prune`, and stand as text in the file too.

        Raises:
            RequestError: a value is no tensor, or of a type that safetensors does not have.
            UnavailableError: the disk is full or failing.
        """
        self._check_open()
        said = dict(metadata or {})
        named = put_named(
            self._folder.store,
            self._file(step),
            lambda: _file_of(step, tensors, said),
            metadata={**said, "step": step},
            replace=True,
        )
        self._waiting.put(named.blob.digest)
        return named

    def load(self, step: int) -> dict[str, np.ndarray[Any, Any]]:
        """The tensors of a step, as NumPy arrays; what NumPy has no type for are bytes.

        Raises:
            EntryNotFoundError: there is no such step.
            IntegrityError: its bytes are damaged.
        """
        named = self._folder.store.names.get(self._file(step))
        with self._folder.store.open(named.blob.digest) as source:
            tensors = read_layout(source, self._folder.readers).tensors
            return {t.name: _array(t, source.read_at) for t in tensors}

    def steps(self) -> list[int]:
        """The steps that are there, in order."""
        return sorted(self._steps())

    def metadata(self, step: int) -> dict[str, Any]:
        """What was said of a step; EntryNotFoundError if it is not there."""
        return dict(self._folder.store.names.get(self._file(step)).metadata)

    def prune(self, policy: Retention, *, dry_run: bool = False) -> Pruned:
        """Remove the steps that the policy does not keep, and free what only they needed."""
        steps = self._steps()
        kept = policy.kept({step: named.metadata for step, named in steps.items()})
        removed = tuple(sorted(set(steps) - kept))
        collected = Collected()
        if not dry_run:
            for step in removed:
                with suppress(EntryNotFoundError):  # somebody else prunes as well
                    self._folder.store.names.remove(self._file(step))
            collected = collect_folder(self._folder.store)
        return Pruned(removed, tuple(sorted(kept)), collected)

    def close(self) -> None:
        """Wait until everything saved is kept small; may be called twice.

        Raises:
            IntegrityError, UnavailableError: that failed. Every step is there all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _check_open(self) -> None:
        if self._closed:
            raise RequestError(f"the series {self.name!r} is closed")

    def _file(self, step: int) -> str:
        if step < 0:
            raise RequestError(f"{step} cannot be a step")
        return f"{self.name}/step-{step}.safetensors"

    def _steps(self) -> dict[int, NamedBlob]:
        found = {}
        start = f"{self.name}/"
        for named in self._folder.store.names.list(start):
            step = _STEP.match(named.name[len(start) :])
            if step is not None:
                found[int(step[1])] = named
        return found

    def _optimize(self) -> None:
        while (digest := self._waiting.get()) is not None:
            try:
                optimize_blob(self._folder, digest)
            except BlobNotFoundError:
                continue  # pruned meanwhile
            except CairnError as error:
                self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _file_of(
    step: int, tensors: Mapping[str, Any], said: Mapping[str, Any]
) -> Iterator[bytes | memoryview]:
    """The bytes of the safetensors file, tensor by tensor."""
    taken = {name: handed(name, value) for name, value in tensors.items()}
    outgoing = [_outgoing(name, value) for name, value in taken.items()]
    texts = {key: value if isinstance(value, str) else str(value) for key, value in said.items()}
    frame = reframe(outgoing, {"format": "pt", **texts, "step": str(step)})
    yield frame.header
    for tensor in frame.tensors:
        data = taken[tensor.name].bytes()
        for at in range(0, len(data), _BLOCK_BYTES):
            yield data[at : at + _BLOCK_BYTES]


def _outgoing(name: str, value: Handed) -> Outgoing:
    size = value.dtype.size_bytes(int(np.prod(value.shape, dtype=np.int64)))
    return Outgoing(
        name, name, TensorInfo(name, value.dtype, value.shape, Span(0, size)), value.dtype
    )


def _array(tensor: TensorInfo, read_at: Any) -> np.ndarray[Any, Any]:
    data = read_at(tensor.span.start, tensor.span.size_bytes)
    dtype = numpy_dtype(tensor.dtype)
    if dtype is None:
        return np.frombuffer(data, unit_dtype(tensor.dtype)).copy()
    return np.frombuffer(data, dtype).reshape(tensor.shape).copy()
