"""Checks a log as whoever follows it: signature, what was seen before, every entry, one proof."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cairn.domain import LogEvent
from cairn.errors import EntryNotFoundError, IntegrityError
from cairn.provenance.log import (
    CHECKPOINT,
    KEYS,
    MAX_KEYS_BYTES,
    MAX_NOTE_BYTES,
    TILE_WIDTH,
    WITNESSED,
    Cosignature,
    Hidden,
    LogFiles,
    LogKeys,
    LogProof,
    Mirror,
    PublicKey,
    RememberedLogs,
    SignedHead,
    TreeHead,
    check_all,
    check_begins_with,
    cosignatures,
    decode,
    entries_of,
    note_text,
)

Begin = Callable[[int], Callable[[int], None]]


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """A log that was let through: its head, its keys, the head it was compared with."""

    head: TreeHead
    keys: LogKeys
    before: TreeHead | None

    @property
    def key(self) -> PublicKey:
        """The key that signs now."""
        return self.keys.current


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
    seen = _signed_head(files, remembered, given)
    if read_all is not None:
        check_all(files, seen.signed.head, read_all(seen.signed.head.size))
    return seen.remembered(remembered)


@dataclass(frozen=True, slots=True)
class CosignedHead:
    """A head that a log begins with, and the witnesses who saw it."""

    head: TreeHead
    by: tuple[Cosignature, ...]


def check_witnesses(
    files: LogFiles, checked: CheckedLog, witnesses: Sequence[PublicKey]
) -> CosignedHead:
    """Let through a log of which each of these witnesses saw a head that it begins with.

    Raises:
        IntegrityError: a witness did not, or saw another log.
        UntrustedDataError: what the log tells of witnesses has another form.
    """
    try:
        note = files.read(WITNESSED, MAX_NOTE_BYTES)
    except EntryNotFoundError:
        raise IntegrityError("the log tells of no witness that saw it") from None
    head = checked.keys.head(note)
    found = cosignatures(note, witnesses)
    missing = [key.name for key in witnesses if key not in [one.witness for one in found]]
    if missing:
        raise IntegrityError(f"the newest cosigned head is not cosigned by {', '.join(missing)}")
    check_begins_with(files, checked.head, head)
    return CosignedHead(head, tuple(found))


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
    seen = _signed_head(files, remembered, given)
    signed, here = seen.signed, None
    if not mirror.is_empty:
        here = SignedHead.of(mirror.read(CHECKPOINT, MAX_NOTE_BYTES), seen.keys).head
    new = max(0, signed.head.size - (0 if here is None else here.size))
    mirror.grow(files, signed, here, begin(new), seen.told)
    return seen.remembered(remembered)


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
    event = proof.event(remembered.keys(head.origin, given).head(proof.note))
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """A head that a key of the log signed, which begins with the one seen `before`."""

    signed: SignedHead
    keys: LogKeys
    before: TreeHead | None
    told: bytes

    def remembered(self, logs: RememberedLogs) -> CheckedLog:
        logs.remember(self.keys.trusted, self.signed, self.told)
        return CheckedLog(self.signed.head, self.keys, self.before)


def _signed_head(files: LogFiles, remembered: RememberedLogs, given: PublicKey | None) -> _Seen:
    told = _handovers(files)
    note = files.read(CHECKPOINT, MAX_NOTE_BYTES)
    origin = TreeHead.parse(note_text(note)).origin
    keys = remembered.keys(origin, given, told)
    before = remembered.of(origin)
    signed = SignedHead.of(note, keys)
    if before is not None:
        check_begins_with(files, signed.head, before.last.head)
    if not keys.handovers or keys != LogKeys.believing(keys.trusted, told):
        told = b""  # of other keys, or older than what is remembered: not to be passed on
    return _Seen(signed, keys, None if before is None else before.last.head, told)


def _handovers(files: LogFiles) -> bytes:
    try:
        return files.read(KEYS, MAX_KEYS_BYTES)
    except EntryNotFoundError:
        return b""  # its key never changed
