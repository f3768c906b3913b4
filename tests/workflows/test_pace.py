"""Budgets in bytes, time and processor, on clocks that only tests move."""

from dataclasses import dataclass

import pytest

from cairn.errors import RequestError
from cairn.store import StoppedError
from cairn.workflows.pace import MAX_REST_S, Budget, Ending, Pace


@dataclass
class Machine:
    """Two clocks; somebody may want an end at some moment."""

    now_s: float = 100.0
    cpu_s: float = 7.0
    stop_at_s: float = float("inf")

    def pace(self, budget: Budget) -> Pace:
        return Pace(budget, self.wait, lambda: self.now_s, lambda: self.cpu_s)

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.now_s >= self.stop_at_s

    def work(self, seconds: float, cores: float = 1.0) -> None:
        self.now_s += seconds
        self.cpu_s += seconds * cores


def test_without_a_budget_nothing_ends_and_nobody_rests() -> None:
    machine = Machine()
    pace = machine.pace(Budget())
    machine.work(1e6)
    pace.advance(1 << 40)
    assert pace.goes_on() and machine.now_s == 100.0 + 1e6


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0, 1.5])
def test_two_busy_cores_are_slowed_down_to_the_share(share: float) -> None:
    machine = Machine()
    pace = machine.pace(Budget(cpu_share=share))
    for _ in range(200):
        machine.work(0.05, cores=2)
        pace.advance(1)
    assert 20.0 / (machine.now_s - 100.0) == pytest.approx(share)


def test_idle_disks_give_time_that_work_may_use_later() -> None:
    machine = Machine()
    pace = machine.pace(Budget(cpu_share=0.5))
    machine.work(10.0, cores=0)
    machine.work(5.0)
    pace.advance(1)
    assert machine.now_s == 115.0


def test_requests_that_use_more_than_the_share_slow_work_down_and_do_not_end_it() -> None:
    machine = Machine()
    pace = machine.pace(Budget(cpu_share=0.01))
    for _ in range(3):
        machine.work(60.0, cores=8)
        pace.advance(1)
    assert machine.now_s == pytest.approx(100.0 + 3 * (60.0 + MAX_REST_S))


def test_a_wish_to_stop_ends_a_rest_within_a_second() -> None:
    machine = Machine(stop_at_s=105.0)
    pace = machine.pace(Budget(cpu_share=0.1))
    machine.work(2.0)
    with pytest.raises(StoppedError):
        pace.advance(1)
    assert machine.now_s < 106.0
    assert pace.ending is Ending.STOPPED and not pace.goes_on()


def test_time_ends_a_blob_in_the_middle() -> None:
    machine = Machine()
    pace = machine.pace(Budget(max_time_s=60.0))
    machine.work(59.0)
    pace.advance(1)
    machine.work(1.0)
    with pytest.raises(StoppedError):
        pace.advance(1)
    assert pace.ending is Ending.TIME and not pace.goes_on()


def test_bytes_end_a_run_between_blobs() -> None:
    pace = Machine().pace(Budget(max_bytes=100))
    pace.advance(99)
    assert pace.goes_on()
    pace.advance(500)
    assert not pace.goes_on() and pace.ending is Ending.BYTES


@pytest.mark.parametrize("budget", [{"max_bytes": 0}, {"max_time_s": -1.0}, {"cpu_share": 0.0}])
def test_a_budget_of_nothing_is_refused_by_name(budget: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(budget))):
        Budget(**budget)
