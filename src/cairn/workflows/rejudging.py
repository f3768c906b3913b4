"""Keeps verdicts on stored blobs up to date: new rules judge kept evidence, without the files.

What is left to do can be read off the catalog (docs/decisions/0007-derived-jobs.md), so a kill
costs at most the batch in hand. Of several processes one works at a time.
"""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cairn.catalog import KeptScan, Named, RuleSet
from cairn.domain import Digest, Verdict
from cairn.errors import MalformedError
from cairn.scanner import extraction_version, judge, judging_version, known_bad
from cairn.scanner.advisories import AdvisoryData
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.kinds import decode
from cairn.workflows.house import House

PLANNED_AT_ONCE = 2_000
"""Scans put in order at once: putting 10,000 in order takes as long as judging 20 of them."""

BATCH = 200
"""Scans judged in one transaction: it waits for the disk once."""

TURN_S = 60.0
"""After this others go on for a process that is silent: it was killed, or hangs."""

_PAUSE_S = 10.0  # a shorter pause between two rounds counts as time that judging takes


@dataclass(frozen=True, slots=True)
class Judged:
    """A blob under a name, and the verdict on it; `before` is the one that stood until now."""

    blob_hex: str
    name: str
    verdict: Verdict
    before: Verdict | None = None


@dataclass(frozen=True, slots=True)
class RescanProgress:
    """How far judging by the rules that hold is.

    `total` scans are kept, `done` of them judged by these rules; `unread_blobs` wait to be read
    by today's extractors. `eta_s` is None if nothing is left or nobody measured yet.
    """

    rules: str
    extraction: str
    since: datetime
    total: int
    done: int
    unread_blobs: int
    eta_s: float | None
    active: bool

    @property
    def percent(self) -> int:
        """Of a hundred; 100 only when nothing is left."""
        return 100 if self.done >= self.total else 100 * self.done // self.total


def rescan_progress(house: House) -> RescanProgress | None:
    """How far judging anew is; None if no worker ever scanned here."""
    holds = house.catalog.rule_sets.newest()
    if holds is None:
        return None
    counts = house.catalog.blob_scans.counts(holds.rules, holds.extraction)
    return RescanProgress(
        rules=holds.rules,
        extraction=holds.extraction,
        since=holds.announced_at,
        total=counts.scans,
        done=counts.scans - counts.stale,
        unread_blobs=counts.unread_blobs,
        eta_s=_eta_s(holds, counts.stale),
        active=holds.held_until is not None and holds.held_until > house.clock(),
    )


def _eta_s(holds: RuleSet, left: int) -> float | None:
    if not left or not holds.judged:
        return None
    return left * holds.busy_s / holds.judged


class Rescans:
    """What one process does to keep verdicts up to date, in turn with others."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._holder = secrets.token_hex(8)
        self._announced: tuple[str, str] | None = None
        self._number = 0
        self._ended_s = 0.0
        self._renew_s = 0.0
        self._planned = ""

    def take_turn(self) -> bool:
        """Whether to go on: something waits, our rules hold, and nobody else is at it.

        Rules that this process did not have before hold from now on.
        """
        ours = (judging_version(self._house.advisories.current()), extraction_version())
        if ours != self._announced:
            self._number = self._house.catalog.rule_sets.announce(*ours)
            self._announced, self._renew_s = ours, 0.0
        if not self._house.catalog.blob_scans.any_wait(*ours):
            return False
        return self._holds_turn()

    def _holds_turn(self) -> bool:
        """Whether the turn is ours; it is renewed when half of it is over, not for each batch."""
        rule_sets, now_s = self._house.catalog.rule_sets, time.monotonic()
        if now_s < self._renew_s:
            newest = rule_sets.newest()
            return newest is not None and newest.number == self._number
        if not rule_sets.claim(self._number, self._holder, TURN_S):
            return False
        self._renew_s = now_s + TURN_S / 2
        return True

    def end_turn(self) -> None:
        """Let others go on at once."""
        self._renew_s = 0.0
        self._house.catalog.rule_sets.release(self._number, self._holder)

    def judge(self, for_s: float) -> Iterator[Judged]:
        """Judge the most urgent of what waits for our rules; gives those judged otherwise now.

        Ends after the batch within which `for_s` seconds have passed. Only within a turn.
        """
        assert self._announced is not None
        rules = self._announced[0]
        began_s, judged = time.monotonic(), 0
        try:
            planned = self._plan(rules)
            for start in range(0, len(planned), BATCH):
                batch = planned[start : start + BATCH]
                found = self._house.catalog.blob_scans.get(batch)
                kept = [found[named] for named in batch if named in found]
                yield from self._judge_batch(kept, rules)
                judged += len(kept)
                if time.monotonic() - began_s > for_s or not self.take_turn():
                    break
        finally:
            self._note(began_s, judged)

    def _plan(self, rules: str) -> list[Named]:
        """What is known to be bad before all else: it is given out until it is judged."""
        scans = self._house.catalog.blob_scans
        if rules != self._planned:
            known = self._house.advisories.current().known_files or {}
            if reported := scans.stale_of(known, rules):
                return reported
            self._planned = rules
        return scans.stale(rules, PLANNED_AT_ONCE)

    def _judge_batch(self, batch: list[KeptScan], rules: str) -> Iterator[Judged]:
        verdicts, unusable = {}, []
        for kept in batch:
            try:
                verdicts[kept.named] = verdict_on(
                    evidence_of(kept), kept.digest, self._house.advisories.current()
                )
            except (MalformedError, ValueError):  # what wrote it is not what reads it
                verdicts[kept.named] = Verdict.worst((kept.verdict, Verdict.UNREAD))
                unusable.append(kept.named)
        changed = self._house.catalog.blob_scans.judge(verdicts, batch, rules)
        for named in unusable:
            self._house.catalog.blob_scans.forget_reading(named)
        for kept in changed:
            yield Judged(kept.digest.hex, kept.name, verdicts[kept.named], kept.verdict)

    def _note(self, began_s: float, judged: int) -> None:
        now_s = time.monotonic()
        if judged:
            since_s = self._ended_s if began_s - self._ended_s < _PAUSE_S else began_s
            self._house.catalog.rule_sets.note_work(
                self._number, self._holder, judged, now_s - since_s
            )
        self._ended_s = now_s


def evidence_of(kept: KeptScan) -> tuple[Evidence, ...]:
    """What a scan noted.

    Raises:
        MalformedError, ValueError: another version wrote it, or it is damaged.
    """
    return tuple(decode(told) for told in json.loads(kept.evidence))


def verdict_on(evidence: tuple[Evidence, ...], digest: Digest, advisories: AdvisoryData) -> Verdict:
    """What today's rules and lists say of some evidence about these bytes."""
    noted = (*known_bad(advisories, digest), *evidence)
    return Verdict.worst(finding.verdict for finding in judge(noted))
