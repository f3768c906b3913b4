"""Checks a log as whoever follows it: signature, what was seen before, every entry, one proof."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cairn.domain import LogEvent
from cairn.errors import IntegrityError
from cairn.provenance.log import (
    CHECKPOINT,
    MAX_NOTE_BYTES,
    TILE_WIDTH,
    Hidden,
    LogFiles,
    LogProof,
    Mirror,
    PublicKey,
    RememberedLogs,
    SignedHead,
    TreeHead,
    check_all,
    check_begins_with,
    decode,
    entries_of,
    note_text,
)

Begin = Callable[[int], Callable[[int], None]]


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """A log that was let through: its head, its key, the head it was compared with."""

    head: TreeHead
    key: PublicKey
    before: TreeHead | None


def check_log(
    files: LogFiles,
    remembered: RememberedLogs,
    given: PublicKey | None,
    read_all: Begin | None,
) -> CheckedLog:
    """Let through a log that its key signed and that begins with what was seen before.

    With `read_all` every entry and every tile is checked too; it gets how many there are and
    gives what takes the numbers of those read. The head is remembered.

    Raises:
        IntegrityError: another key, a rewritten or cut log, a changed entry or tile.
        RequestError: no key is known for the log.
        EntryNotFoundError, UntrustedDataError: there is no log, or its head has another form.
    """
    signed, key, before = _signed_head(files, remembered, given)
    if before is not None:
        check_begins_with(files, signed.head, before)
    if read_all is not None:
        check_all(files, signed.head, read_all(signed.head.size))
    remembered.remember(key, signed)
    return CheckedLog(signed.head, key, before)


def mirror_log(
    files: LogFiles,
    mirror: Mirror,
    remembered: RememberedLogs,
    given: PublicKey | None,
    begin: Begin,
) -> CheckedLog:
    """Bring a mirror up to what a log has now, all of it checked; the head is remembered.

    `begin` gets how many entries are new and gives what takes the numbers of those fetched.

    Raises:
        IntegrityError, RequestError, EntryNotFoundError, UntrustedDataError: as `check_log`, and
            if the mirror is that of another log.
    """
    signed, key, before = _signed_head(files, remembered, given)
    if before is not None:
        check_begins_with(files, signed.head, before)
    here = None if mirror.is_empty else SignedHead.of(mirror.read(CHECKPOINT, MAX_NOTE_BYTES), key)
    known = 0 if here is None else here.head.size
    mirror.grow(
        files, signed, None if here is None else here.head, begin(max(0, signed.head.size - known))
    )
    remembered.remember(key, signed)
    return CheckedLog(signed.head, key, before)


def check_proof(
    content: bytes, remembered: RememberedLogs, given: PublicKey | None
) -> tuple[LogEvent | Hidden, LogProof]:
    """What a proof file proves; nothing but the file is read.

    Raises:
        IntegrityError: it proves nothing, or its log had another entry at that size before.
        RequestError: no key is known for its log.
        UntrustedDataError: it is no proof.
    """
    proof = LogProof.parse(content)
    head = proof.head
    event = proof.check([remembered.trusted_key(head.origin, given)])
    seen = remembered.of(head.origin)
    if seen is not None and seen.last.head.size == head.size and seen.last.head != head:
        raise IntegrityError(
            f"the proof leads to another log of {head.size} entries than the one seen before:"
            " the hub shows different people different logs"
        )
    return event, proof


def newest(files: LogFiles) -> Iterator[tuple[int, LogEvent | Hidden]]:
    """Number and content of every entry as the log tells it, the newest first; nothing is checked.

    Raises:
        EntryNotFoundError, UntrustedDataError: there is no log, or a file has another form.
    """
    size = TreeHead.parse(note_text(files.read(CHECKPOINT, MAX_NOTE_BYTES))).size
    for first in range((size - 1) // TILE_WIDTH * TILE_WIDTH, -1, -TILE_WIDTH):
        _, entries = next(entries_of(files, size, first))
        for n in reversed(range(len(entries))):
            yield first + n, decode(entries[n])


def _signed_head(
    files: LogFiles, remembered: RememberedLogs, given: PublicKey | None
) -> tuple[SignedHead, PublicKey, TreeHead | None]:
    note = files.read(CHECKPOINT, MAX_NOTE_BYTES)
    origin = TreeHead.parse(note_text(note)).origin
    key = remembered.trusted_key(origin, given)
    before = remembered.of(origin)
    return SignedHead.of(note, key), key, None if before is None else before.last.head
