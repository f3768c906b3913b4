"""Everything is read back once in a round, what was read longest ago first; damage is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.errors import IntegrityError
from cairn.store import PastRound, Round, StoppedError
from cairn.store.rounds import encode_round, parse_round
from cairn.workflows.house import House
from cairn.workflows.rounds import Step, reading, verify_due
from tests.workflows.test_inspect_repo import house

__all__ = ["house"]

EVERY_S = 1_000.0
START = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def at(self, share: float) -> None:
        """Set it to a share of the first round."""
        self.now = START + timedelta(seconds=share * EVERY_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(house: House, clock: Clock) -> House:
    """A house of forty small blobs beside those of its repo, in which a round has begun."""
    for number in range(40):
        house.store.put_bytes(b"blob %d" % number)
    timed = replace(house, clock=clock)
    assert verify_due(timed, EVERY_S, lambda: True).blobs == 0
    return timed


def step(house: House, goes_on: Callable[[], bool] = lambda: True) -> Step:
    return verify_due(house, EVERY_S, goes_on)


def digests(house: House) -> list[Digest]:
    return house.store.rounds.blobs_between(b"", b"\xff" * 32)


def object_of(house: House, tmp_path: Path, digest: Digest) -> Path:
    return next((tmp_path / "data" / "store" / "raw").rglob(digest.hex))


def test_a_round_is_spread_over_its_time_and_the_next_begins_when_it_ends(
    kept: House, clock: Clock
) -> None:
    every = digests(kept)
    read = 0
    for tenth in range(1, 11):
        clock.at(tenth / 10)
        done = step(kept)
        assert done.up_to_date
        read += done.blobs
        expected = sum(1 for d in every if int(d.hex[:8], 16) <= tenth / 10 * 2**32)
        assert read == expected
        assert step(kept).blobs == 0
    told = reading(kept)
    assert told is not None
    assert told.last_round is not None
    assert (told.last_round.began, told.last_round.blobs) == (START, len(every))
    assert told.last_round.bytes == sum(kept.store.blob(d).size_bytes for d in every)
    assert (told.began, told.blobs, told.percent) == (clock.now, 0, 0)


def test_each_step_goes_on_where_the_one_before_stopped(kept: House, clock: Clock) -> None:
    clock.at(0.5)
    first, second, *_ = digests(kept)
    once = step(kept, lambda: False)
    assert (once.blobs, once.up_to_date) == (1, False)
    assert kept.store.rounds.get().position == first.raw
    step(kept, lambda: False)
    assert kept.store.rounds.get().position == second.raw


def test_a_stop_within_a_blob_keeps_what_was_read_before_it(kept: House, clock: Clock) -> None:
    clock.at(1)
    seen: list[int] = []

    def stop_at_the_third(size: int) -> None:
        seen.append(size)
        if len(seen) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        verify_due(kept, EVERY_S, lambda: True, stop_at_the_third)
    assert kept.store.rounds.get().blobs == 2
    assert kept.store.rounds.get().position == digests(kept)[1].raw


def test_damaged_and_lost_blobs_are_named_with_their_files(
    kept: House, clock: Clock, tmp_path: Path
) -> None:
    needed = sorted(kept.catalog.history.live_digests())
    object_of(kept, tmp_path, needed[0]).unlink()
    harmed = object_of(kept, tmp_path, needed[1])
    harmed.chmod(0o644)
    harmed.write_bytes(b"x" + harmed.read_bytes()[1:])
    clock.at(1)
    found = step(kept).damaged
    assert [damage.digest for damage in found] == needed[:2]
    assert all(damage.locations for damage in found)
    assert not kept.store.has(needed[1])


def test_what_gc_takes_meanwhile_is_not_lost(kept: House, clock: Clock, tmp_path: Path) -> None:
    needed = set(kept.catalog.history.live_digests())
    last = [digest for digest in digests(kept) if digest not in needed][-1]
    path = object_of(kept, tmp_path, last)

    def remove_the_last() -> bool:
        path.unlink(missing_ok=True)
        return True

    clock.at(1)
    assert step(kept, remove_the_last).damaged == ()


def test_a_clock_that_is_set_back_begins_the_round_anew(kept: House, clock: Clock) -> None:
    clock.at(0.5)
    assert step(kept).blobs > 0
    clock.at(-0.5)
    assert step(kept).blobs == 0
    assert reading(kept).began == clock.now


FULL = Round(5, b"\x07" * 32, 6, 7, 8, PastRound(1, 2, 3, 4))


def test_a_round_is_remembered_as_it_was() -> None:
    assert parse_round(encode_round(FULL)) == FULL
    assert parse_round(encode_round(Round(5))) == Round(5)


def test_no_damaged_record_of_a_round_is_believed() -> None:
    data = encode_round(FULL)
    for at in range(len(data)):
        with pytest.raises(IntegrityError):
            parse_round(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(IntegrityError):
            parse_round(data[:at])


def test_a_damaged_record_begins_a_round_anew(kept: House, clock: Clock, tmp_path: Path) -> None:
    clock.at(0.5)
    step(kept)
    (tmp_path / "data" / "store" / "round").write_bytes(b"something else")
    assert step(kept).blobs == 0
    assert reading(kept).began == clock.now
