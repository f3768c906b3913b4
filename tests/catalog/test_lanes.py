"""What background work is at is known to all who share the catalog, and forgotten in time."""

from datetime import timedelta

from cairn.catalog import Catalog, LaneBeat
from tests.catalog.conftest import Clock


def beat(clock: Clock, lane: str, silence_s: float) -> LaneBeat:
    now = clock()
    return LaneBeat("host:1", lane, "scan", now, now, now + timedelta(seconds=silence_s), now)


def test_what_did_not_advance_in_time_is_overdue(catalog: Catalog, clock: Clock) -> None:
    quick, slow = beat(clock, "scan", 60), beat(clock, "upkeep", 600)
    catalog.lanes.put("host:1", [quick, slow])
    assert catalog.lanes.all() == [quick, slow] and catalog.lanes.overdue() == []
    clock.advance(seconds=61)
    assert catalog.lanes.overdue() == [quick]
    assert not quick.hangs  # its process did not say so since: it may have been killed


def test_a_worker_is_forgotten_when_it_ends_or_was_killed(catalog: Catalog, clock: Clock) -> None:
    catalog.lanes.put("host:1", [beat(clock, "scan", 60)])
    catalog.lanes.forget("host:1")
    assert catalog.lanes.all() == []
    catalog.lanes.put("host:1", [beat(clock, "scan", 60)])
    clock.advance(seconds=100)
    catalog.lanes.forget_dead(120)
    assert len(catalog.lanes.all()) == 1
    clock.advance(seconds=21)
    catalog.lanes.forget_dead(120)
    assert catalog.lanes.all() == []
