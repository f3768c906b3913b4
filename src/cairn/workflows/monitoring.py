"""The verb monitor: what became of the files of a folder since the last look."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from cairn.domain import Digest, FileReport, Place, Verdict
from cairn.errors import MalformedError, UntrustedDataError
from cairn.scanner import extraction_version, judging_version, report_of
from cairn.scanner.advisories import AdvisoryData
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.scanner.evidence.kinds import decode, encode
from cairn.workflows.scan import Gather, digest_of
from cairn.workflows.watched_folder import Listing, WatchedFile, opened, stamp_of
from cairn.workflows.watched_state import Seen, WatchedState, evidence_key, stamp_text

HASHED_BYTES = 16 << 20
"""Files up to this are known by their SHA-256, so that a copy needs no scan. Larger ones only by
what the file system says: reading their headers takes less than hashing all of them."""

SAVE_AFTER_S = 10.0
"""A kill costs at most what was scanned in this time."""

_UNSETTLED = "it was written while it was read"


class Happened(StrEnum):
    """What became of a file since the last look."""

    NEW = "new"
    WORSE = "worse"
    BETTER = "better"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a path; `before` is how it stood, `report` how it stands."""

    what: Happened
    path: str
    before: Verdict | None
    report: FileReport | None


@dataclass(slots=True)
class Round:
    """One look at a folder: how many files, how many were taken apart, how they all stand."""

    files: int = 0
    scanned: int = 0
    counts: Counter[Verdict] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count a file."""
        self.files += 1
        self.counts[verdict] += 1

    @property
    def verdict(self) -> Verdict:
        """That of the worst file."""
        return Verdict.worst(verdict for verdict, count in self.counts.items() if count)


@dataclass(frozen=True, slots=True)
class Watch:
    """What a look needs: the state, how files are taken apart, where the state is kept.

    `done` takes the bytes of each file that was scanned; `stopped` says whether to end.
    """

    state: WatchedState
    gather: Gather
    advisories: AdvisoryData
    save: Callable[[WatchedState], None]
    done: Callable[[int], None]
    stopped: Callable[[], bool]


def to_scan(listing: Listing, state: WatchedState) -> list[WatchedFile]:
    """The files of which nothing is known yet, as far as can be told without reading them."""
    return [file for file in listing.files if _kept_key(file, state) is None]


def look(listing: Listing, watch: Watch, tally: Round) -> Iterator[Event]:
    """Take apart what changed, judge what other rules judged, and give what happened.

    The state is saved now and then, and at the end. Ends early when it was stopped: what was not
    looked at stays as it was.
    """
    watch.state.extraction = extraction_version()
    saved_s = time.monotonic()
    present: set[str] = set()
    for path, reason in sorted(listing.unread.items()):
        present.add(path)
        report = report_of(path, 0, (Unread(Place(), reason),))
        yield from _judged(path, report, "", watch, tally)
    rules = judging_version(watch.advisories)
    same_rules = rules == watch.state.rules
    watch.state.rules = rules if same_rules else ""  # until all of it is judged by them
    for file in listing.files:
        if watch.stopped():
            watch.save(watch.state)
            return
        if same_rules and _is_as_it_was(file, watch.state):
            present.update(file.paths)
            for path in file.paths:
                tally.add(watch.state.seen[path].verdict)
            continue
        noted = _evidence(file, watch, tally)
        if noted is None:
            continue  # it vanished
        key, evidence, digest = noted
        for path in file.paths:
            present.add(path)
            report = report_of(path, file.size_bytes, evidence, watch.advisories, digest)
            yield from _judged(path, report, key, watch, tally)
        if time.monotonic() - saved_s > SAVE_AFTER_S:
            watch.save(watch.state)
            saved_s = time.monotonic()
    yield from _gone(present, watch)
    watch.state.rules = rules
    watch.state.forget_others({stamp_text(file.stamp) for file in listing.files})
    watch.save(watch.state)


def _judged(path: str, report: FileReport, key: str, watch: Watch, tally: Round) -> Iterator[Event]:
    before = watch.state.seen.get(path)
    watch.state.seen[path] = Seen(report.verdict, key)
    tally.add(report.verdict)
    if before is None:
        yield Event(Happened.NEW, path, None, report)
    elif report.verdict is not before.verdict:
        is_worse = report.verdict.rank > before.verdict.rank
        what = Happened.WORSE if is_worse else Happened.BETTER
        yield Event(what, path, before.verdict, report)


def _gone(present: set[str], watch: Watch) -> Iterator[Event]:
    for path in sorted(watch.state.seen.keys() - present):
        before = watch.state.seen.pop(path)
        yield Event(Happened.GONE, path, before.verdict, None)


def _evidence(
    file: WatchedFile, watch: Watch, tally: Round
) -> tuple[str, tuple[Evidence, ...], Digest | None] | None:
    """The evidence on a file, kept or noted now, with its key; None if the file is gone.

    What cannot be settled has no key, so that the next look takes it apart again.
    """
    try:
        return _settled(file, watch, tally)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UntrustedDataError:
        reason = _UNSETTLED  # it shrank
    return "", (Unread(Place(), reason),), None


def _settled(
    file: WatchedFile, watch: Watch, tally: Round
) -> tuple[str, tuple[Evidence, ...], Digest | None]:
    state = watch.state
    digest = _digest(file, watch)
    key = evidence_key(file, digest.hex if digest else None)
    if (kept := state.evidence.get(key)) is not None:
        with suppress(MalformedError):  # damaged: it is taken apart again
            return key, tuple(decode(one) for one in kept), digest
    with opened(file) as source:
        evidence = watch.gather(source)
    tally.scanned += 1
    watch.done(file.size_bytes)
    if stamp_of(file.real) != file.stamp:
        return "", (Unread(Place(), _UNSETTLED),), None
    state.evidence[key] = [encode(one) for one in evidence]
    return key, evidence, digest


def _digest(file: WatchedFile, watch: Watch) -> Digest | None:
    """The SHA-256 of a file that is small, or whose size is that of a file known to be bad."""
    wanted = file.size_bytes <= HASHED_BYTES or watch.advisories.may_be_known(file.size_bytes)
    if not wanted:
        return None
    stamp = stamp_text(file.stamp)
    if (known := watch.state.digests.get(stamp)) is not None:
        return Digest.sha256(known)
    with opened(file) as source:
        digest = digest_of(source)
    if stamp_of(file.real) == file.stamp:
        watch.state.digests[stamp] = digest.hex
    return digest


def _is_as_it_was(file: WatchedFile, state: WatchedState) -> bool:
    """Whether its evidence was kept, and judged under each of its paths."""
    key = _kept_key(file, state)
    before = [state.seen.get(path) for path in file.paths]
    return key is not None and all(one is not None and one.key == key for one in before)


def _kept_key(file: WatchedFile, state: WatchedState) -> str | None:
    digest = state.digests.get(stamp_text(file.stamp))
    key = evidence_key(file, digest)
    return key if key in state.evidence else None
