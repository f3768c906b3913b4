"""Reads one record of a pack into memory that is used again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from cairn.errors import IntegrityError
from cairn.store.backends import Backend, ObjectNotFoundError, OpenObject
from cairn.store.keys import pack_key
from cairn.store.packs import RECORD_HEAD_BYTES, Record, parse_record_head
from cairn.store.part_index import Place
from cairn.store.scratch import Scratch


class OtherPartError(Exception):
    """The record at a place is of a part whose digest has the same first bytes."""


@contextmanager
def stored_record(
    backend: Backend, place: Place, digest: bytes, scratch: Scratch
) -> Iterator[tuple[Record, memoryview]]:
    """The record at a place, and its stored bytes for the length of a `with` block.

    Those of a part that is kept raw stay when the block ends: they are the part.

    Raises:
        IntegrityError: it is damaged.
        OtherPartError: it is of another part, whose digest starts alike.
        UnavailableError: the disk fails.
    """
    with ExitStack() as lent:
        with _opened(backend, place) as pack:
            record = _head(pack, place)
            if record.digest != digest:
                raise OtherPartError
            if record.is_plain:
                stored = np.empty(record.stored_bytes, dtype=np.uint8).data
            else:
                stored = lent.enter_context(scratch.bytes(record.stored_bytes))
            pack.read_into(place.offset + RECORD_HEAD_BYTES, stored)
        yield record, stored.toreadonly()


def _opened(backend: Backend, place: Place) -> OpenObject:
    try:
        return backend.open(pack_key(place.pack_id))
    except ObjectNotFoundError:
        raise IntegrityError("the pack is gone") from None


def _head(pack: OpenObject, place: Place) -> Record:
    record = parse_record_head(pack.read_at(place.offset, RECORD_HEAD_BYTES), place.offset)
    if record.stored_bytes != place.stored_bytes:
        raise IntegrityError("the record is not where the index says")
    if place.offset + record.total_bytes > pack.size_bytes:
        raise IntegrityError("the record is cut short")
    return record
