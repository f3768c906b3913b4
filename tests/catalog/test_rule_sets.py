"""The rules announced last hold, and one worker at a time judges by them."""

from cairn.catalog import Catalog
from tests.catalog.conftest import Clock


def test_the_rules_announced_last_hold(catalog: Catalog) -> None:
    assert catalog.rule_sets.newest() is None
    first = catalog.rule_sets.announce("one", "extractors")
    assert catalog.rule_sets.announce("one", "extractors") == first
    second = catalog.rule_sets.announce("two", "extractors")
    newest = catalog.rule_sets.newest()
    assert newest is not None and (newest.number, newest.rules) == (second, "two")
    assert not catalog.rule_sets.claim(first, "old worker", 60)
    assert catalog.rule_sets.claim(second, "new worker", 60)


def test_one_worker_judges_at_a_time_until_it_ends_or_falls_silent(
    catalog: Catalog, clock: Clock
) -> None:
    number = catalog.rule_sets.announce("one", "extractors")
    assert catalog.rule_sets.claim(number, "a", 60)
    assert catalog.rule_sets.claim(number, "a", 60)
    assert not catalog.rule_sets.claim(number, "b", 60)
    clock.advance(seconds=61)  # killed
    assert catalog.rule_sets.claim(number, "b", 60)
    assert not catalog.rule_sets.claim(number, "a", 60)
    catalog.rule_sets.release(number, "a")  # not its turn any more
    assert not catalog.rule_sets.claim(number, "a", 60)
    catalog.rule_sets.release(number, "b")
    assert catalog.rule_sets.claim(number, "a", 60)


def test_work_adds_up_for_who_holds_the_turn(catalog: Catalog) -> None:
    number = catalog.rule_sets.announce("one", "extractors")
    catalog.rule_sets.claim(number, "a", 60)
    catalog.rule_sets.note_work(number, "a", 10, 2.0)
    catalog.rule_sets.note_work(number, "a", 20, 1.5)
    catalog.rule_sets.note_work(number, "b", 99, 9.0)
    newest = catalog.rule_sets.newest()
    assert newest is not None and (newest.judged, newest.busy_s) == (30, 3.5)
