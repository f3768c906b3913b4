"""Reads everything a hub keeps back, over and over, a little at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.store import PastRound, Round, Verification
from cairn.workflows.damage import Damage, located
from cairn.workflows.house import House


@dataclass(frozen=True, slots=True)
class Step:
    """What was read now: blobs, plain bytes, those found bad; whether nothing more is due yet."""

    blobs: int
    bytes: int
    damaged: tuple[Damage, ...]
    up_to_date: bool


@dataclass(frozen=True, slots=True)
class PastReading:
    """A round that came to its end: blobs, and plain bytes of these."""

    began: datetime
    ended: datetime
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The round under way, and the one before it."""

    began: datetime
    last_read: datetime | None
    percent: int
    blobs: int
    bytes: int
    last_round: PastReading | None


def reading(house: House) -> Reading | None:
    """How far the reading back of everything has come; None if it never began."""
    current = house.store.rounds.get()
    if current is None:
        return None
    past = current.before
    return Reading(
        _moment(current.began_us),
        _moment(current.last_us) if current.last_us else None,
        int(100 * current.share),
        current.blobs,
        current.bytes,
        PastReading(_moment(past.began_us), _moment(past.ended_us), past.blobs, past.bytes)
        if past
        else None,
    )


def verify_due(
    house: House,
    every_s: float,
    goes_on: Callable[[], bool],
    progress: Callable[[int], None] | None = None,
) -> Step:
    """Read the blobs whose turn it is, so that a round through all takes `every_s` seconds.

    In the order of digests, so those first that were read longest ago. `goes_on` is asked after
    each blob, `progress` gets plain bytes as they are read. How far it came is remembered at the
    end, also if one of them raises; a kill costs this step.

    Raises:
        UnavailableError: the disk does not take the note.
    """
    began = _under_way(house)
    share = (_now_us(house) - began.began_us) / (every_s * 1e6)
    due = _due(house, began.position, _place(share))
    read = began
    bad: list[tuple[Digest, str]] = []
    try:
        for digest in due:
            found = house.store.verify([digest], progress)
            read = _behind(read, digest, found, _now_us(house))
            bad += [] if found.bad and _was_removed(house, digest) else found.bad
            if not goes_on():
                break
    finally:
        if read is not began:
            house.store.rounds.put(read)
    up_to_date = not due or read.position == due[-1].raw
    if up_to_date and share >= 1:
        house.store.rounds.put(_next(read, _now_us(house)))
    damaged = tuple(located(house, bad)) if bad else ()
    return Step(read.blobs - began.blobs, read.bytes - began.bytes, damaged, up_to_date)


def _under_way(house: House) -> Round:
    """The round that goes on; a new one if there is none, or the clock was set back."""
    known = house.store.rounds.get()
    if known is not None and known.began_us <= _now_us(house):
        return known
    begun = Round(_now_us(house), before=known.before if known else None)
    house.store.rounds.put(begun)
    return begun


def _due(house: House, after: bytes, upto: bytes) -> list[Digest]:
    """Blobs in a run of the order of digests: those here, and those needed, here or not."""
    needed = house.catalog.history.live_digests(after)
    wanted = takewhile(lambda digest: digest.raw <= upto, needed)
    return sorted({*wanted, *house.store.rounds.blobs_between(after, upto)})


def _was_removed(house: House, digest: Digest) -> bool:
    """Whether gc took the blob since it was listed, because nothing needs it."""
    try:
        house.store.blob(digest)
    except BlobNotFoundError:
        after = (int.from_bytes(digest.raw) - 1).to_bytes(len(digest.raw))
        return next(house.catalog.history.live_digests(after), None) != digest
    except IntegrityError:
        pass
    return False


def _behind(read: Round, digest: Digest, found: Verification, now_us: int) -> Round:
    """The round when this blob was read as well."""
    return replace(
        read,
        position=digest.raw,
        last_us=now_us,
        blobs=read.blobs + found.checked,
        bytes=read.bytes + found.bytes,
    )


def _next(ended: Round, now_us: int) -> Round:
    before = PastRound(ended.began_us, now_us, ended.blobs, ended.bytes)
    return Round(now_us, last_us=ended.last_us, before=before)


def _place(share: float) -> bytes:
    """Up to where digests make up this share of all."""
    leading = min(int(share * 2**64), 2**64 - 1)
    return leading.to_bytes(8) + b"\xff" * 24


def _moment(unix_us: int) -> datetime:
    return datetime.fromtimestamp(unix_us / 1e6, UTC)


def _now_us(house: House) -> int:
    return int(house.clock().timestamp() * 1e6)
