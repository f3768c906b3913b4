"""Attempts to sign in are counted by subject, in windows, alike in all processes."""

import threading

import pytest
from sqlalchemy import select

from cairn.catalog import Catalog, schema
from cairn.catalog.attempts import Attempts
from cairn.errors import ThrottledError

WINDOW_S = 900.0


def test_a_subject_at_its_limit_waits_for_the_end_of_its_window(catalog: Catalog, clock) -> None:
    for _ in range(3):
        catalog.attempts.begin({"a": 3}, WINDOW_S)
        clock.advance(seconds=60)
    with pytest.raises(ThrottledError) as refused:
        catalog.attempts.begin({"a": 3}, WINDOW_S)
    assert refused.value.retry_after_s == WINDOW_S - 180
    catalog.attempts.begin({"b": 3}, WINDOW_S)
    clock.advance(seconds=WINDOW_S - 180)
    catalog.attempts.begin({"a": 3}, WINDOW_S)


def test_an_attempt_refused_for_one_subject_counts_for_none(catalog: Catalog) -> None:
    catalog.attempts.begin({"account": 1}, WINDOW_S)
    for _ in range(3):
        with pytest.raises(ThrottledError):
            catalog.attempts.begin({"account": 1, "network": 1}, WINDOW_S)
    catalog.attempts.begin({"network": 1}, WINDOW_S)


def test_success_is_forgotten_or_taken_back(catalog: Catalog) -> None:
    for _ in range(5):
        catalog.attempts.begin({"account": 2, "network": 1}, WINDOW_S)
        catalog.attempts.forget("account")
        catalog.attempts.take_back("network")
    catalog.attempts.take_back("never seen")


def test_windows_that_ended_leave_nothing_behind(catalog: Catalog, clock) -> None:
    for number in range(20):
        catalog.attempts.begin({f"from {number}": 5}, WINDOW_S)
    clock.advance(seconds=WINDOW_S)
    catalog.attempts.begin({"late": 5}, WINDOW_S)
    with catalog.database.read() as connection:
        rows = connection.execute(select(schema.attempts)).all()
    assert len(rows) == 1
    assert not any("late" in str(value) for value in rows[0])


def test_many_at_once_do_not_get_past_the_limit(catalog: Catalog, clock) -> None:
    other = Attempts(catalog.database, clock)
    let_in, refused = [], []

    def attempt(number: int) -> None:
        try:
            (other if number % 2 else catalog.attempts).begin({"a": 4, f"n{number}": 9}, WINDOW_S)
            let_in.append(number)
        except ThrottledError:
            refused.append(number)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(let_in), len(refused)) == (4, 8)
