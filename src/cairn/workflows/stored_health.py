"""Tensor health on a hub: measured once per blob in the background, remembered by content.

What is left to do can be read off the catalog: blobs of repos of which nothing is noted yet
(docs/decisions/0007-derived-jobs.md). A blob that holds no tensors gets a note without any. A
tensor whose values lie in several files has no numbers here: a blob is read by itself.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from cairn.domain import Checkpoint, Digest, Entry, Source
from cairn.errors import BlobNotFoundError, IntegrityError, MalformedError, UntrustedDataError
from cairn.formats import File, read_layout
from cairn.workflows.health import TensorHealth, measure_tensors, troubles_of
from cairn.workflows.house import House
from cairn.workflows.plain_statistics import SCHEMA, parsed, plain
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.stored_file import StoredFile

MAX_TENSORS = 10_000
"""Tensors of one blob that are measured: at some 500 bytes each in the catalog, 5 MB."""

BLOBS_AT_ONCE = 20
"""Blobs of one pass; after it other work of the background gets its turn."""

_HERE = "blob"


@dataclass(frozen=True, slots=True)
class KnownHealth:
    """What is known of a checkpoint's tensors, by file and name, and the files not measured yet.

    `spread` are assemblies whose tensors lie in several files: those have no numbers.
    """

    tensors: Mapping[tuple[str, str], TensorHealth]
    waiting: tuple[str, ...]
    spread: tuple[str, ...] = ()


def any_pending(house: House) -> bool:
    """Whether any blob was not measured yet."""
    return bool(house.catalog.blob_health.due(SCHEMA, 1))


def measure_pending(house: House, may_go_on: Callable[[], bool]) -> Iterator[Digest]:
    """Measure blobs that were not yet, smallest first, and give the digest of each.

    `may_go_on` is asked between tensors and may take its time: while it waits nothing is read.
    When it says no, the blob in hand is left for another pass.
    """
    for blob in house.catalog.blob_health.due(SCHEMA, BLOBS_AT_ONCE):
        found = measure_blob(house, blob.digest, may_go_on)
        if found is None:
            return
        house.catalog.blob_health.put(blob.digest, SCHEMA, json.dumps(found, allow_nan=False))
        yield blob.digest


def measure_blob(
    house: House, digest: Digest, may_go_on: Callable[[], bool]
) -> dict[str, Any] | None:
    """The statistics of the tensors in a blob by name, None when told to stop."""
    found: dict[str, Any] = {}
    try:
        with _opened(house, digest) as source:
            layout = read_layout(source, house.readers)
            file = File(source.size_bytes, partial(_opened, house, digest))
        readable = ReadableCheckpoint(Checkpoint("", {_HERE: layout}), {_HERE: file})
        tensors = ((_HERE, tensor) for tensor in layout.tensors[:MAX_TENSORS])
        for health in measure_tensors(readable, tensors, threads=1):
            if not may_go_on():
                return None
            numbers = None if health.statistics is None else plain(health.statistics)
            found.setdefault(
                health.tensor.name, {"statistics": numbers, "not_read": health.not_read}
            )
    except (UntrustedDataError, BlobNotFoundError, IntegrityError):
        return {}  # not a checkpoint, or damaged, which verify and the pages tell
    return found


def known_health(house: House, checkpoint: Checkpoint, entries: Mapping[str, Entry]) -> KnownHealth:
    """What the catalog knows of the tensors of a checkpoint whose files are `entries`."""
    alone = {path for path, _ in checkpoint.tensors()} & entries.keys()
    digests = {path: entries[path].blob.digest for path in alone}
    noted = house.catalog.blob_health.get(set(digests.values()), SCHEMA)
    by_path = {path: json.loads(noted[d]) for path, d in digests.items() if d in noted}
    found: dict[tuple[str, str], TensorHealth] = {}
    for path, tensor in checkpoint.tensors():
        kept = by_path.get(path, {}).get(tensor.name)
        if kept is None:
            continue
        try:
            numbers = None if kept["statistics"] is None else parsed(kept["statistics"])
        except MalformedError as error:
            found[path, tensor.name] = TensorHealth(path, tensor, None, str(error))
            continue
        troubles = () if numbers is None else troubles_of(tensor, numbers)
        found[path, tensor.name] = TensorHealth(path, tensor, numbers, kept["not_read"], troubles)
    waiting = tuple(sorted(digests.keys() - by_path.keys()))
    spread = tuple(sorted(assembly.path for assembly in checkpoint.assemblies))
    return KnownHealth(found, waiting, spread)


@contextmanager
def _opened(house: House, digest: Digest) -> Iterator[Source]:
    with house.store.open(digest) as reader:
        yield StoredFile(_HERE, reader)
