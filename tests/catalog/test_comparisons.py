"""Comparisons people asked for: done once, oldest first, bounded, gone with their trees."""

import pytest

from cairn.catalog import Catalog, comparisons
from tests.catalog.conftest import Clock
from tests.catalog.histories import commit, model, new_repo, put


def trees(catalog: Catalog, name: str = "a/one") -> tuple[str, str]:
    repo = new_repo(catalog, name)
    before = commit(catalog, repo, put("x", name.encode())).tree
    return before, commit(catalog, repo, put("x", b"now " + name.encode())).tree


def test_a_comparison_waits_until_it_is_finished(catalog: Catalog) -> None:
    kept, pair = catalog.comparisons, trees(catalog)
    assert kept.get(pair, 1) is None
    assert kept.due(1) is None
    assert kept.ask(pair, 1, 100)
    assert kept.ask(pair, 1, 100)
    assert kept.due(1) == pair
    kept.report(pair, 40, 90)
    found = kept.get(pair, 1)
    assert found is not None
    assert (found.done_bytes, found.total_bytes, found.is_waiting) == (40, 90, True)
    kept.finish(pair, '{"ü": 1}')
    found = kept.get(pair, 1)
    assert found is not None
    assert (found.content, found.is_waiting) == ('{"ü": 1}', False)
    assert kept.due(1) is None


def test_one_that_failed_is_not_tried_again(catalog: Catalog) -> None:
    kept, pair = catalog.comparisons, trees(catalog)
    kept.ask(pair, 1, 100)
    kept.fail(pair, "damaged")
    found = kept.get(pair, 1)
    assert found is not None
    assert (found.failure, kept.due(1)) == ("damaged", None)


def test_only_so_many_wait(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "MAX_WAITING", 2)
    first, second, third = (trees(catalog, name) for name in ("a/one", "a/two", "a/three"))
    assert catalog.comparisons.ask(first, 1, 1)
    assert catalog.comparisons.ask(second, 1, 1)
    assert not catalog.comparisons.ask(third, 1, 1)
    assert catalog.comparisons.ask(first, 1, 1)
    catalog.comparisons.finish(first, "{}")
    assert catalog.comparisons.ask(third, 1, 1)


def test_a_newer_form_is_found_anew(catalog: Catalog) -> None:
    kept, pair = catalog.comparisons, trees(catalog)
    kept.ask(pair, 1, 1)
    kept.finish(pair, "{}")
    assert kept.get(pair, 2) is None
    assert kept.ask(pair, 2, 1)
    assert kept.due(2) == pair


def test_the_results_asked_for_longest_ago_make_room(
    catalog: Catalog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparisons, "MAX_KEPT", 2)
    pairs = [trees(catalog, name) for name in ("a/one", "a/two", "a/three")]
    for pair in pairs:
        clock.advance(seconds=1)
        catalog.comparisons.ask(pair, 1, 1)
        catalog.comparisons.finish(pair, "{}")
    assert [catalog.comparisons.get(pair, 1) is None for pair in pairs] == [True, False, False]


def test_comparisons_go_with_the_last_revision_of_a_tree(catalog: Catalog) -> None:
    gone, stays = trees(catalog, "a/one"), trees(catalog, "a/two")
    for pair in (gone, stays):
        catalog.comparisons.ask(pair, 1, 1)
    assert catalog.comparisons.forget_unowned() == 0
    catalog.repos.delete(model("a/one"))
    assert catalog.comparisons.forget_unowned() == 1
    assert catalog.comparisons.get(gone, 1) is None
    assert catalog.comparisons.get(stays, 1) is not None
