"""Kill -9 at any instant: the store opens, verifies, and holds everything acknowledged.

Real processes and real kills. A kill does not lose what the kernel has in memory; that
bytes are synced before they are acknowledged is checked in `test_backends`.
"""

import random
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.store import victim
from tests.store.victims import Victims, check, check_tidy


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    server = Victims()
    yield server
    server.close()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A store with rewritten, raw and dropped blobs that share tensors."""
    root = tmp_path / "prepared"
    victim.put(root, {"seeds": [1, 2, 5, 9]})
    victim.optimize(root, {})
    victim.put(root, {"seeds": [3, 20]})
    for seed in (2, 9, 20):
        victim.acknowledge(root, "drop", seed, victim.acknowledged(root)[seed])
    return root


EVERY = pytest.mark.slow
"""Each change, or more of them, of an action with many: the quick test takes one in a few."""


@pytest.mark.parametrize(
    ("action", "step"),
    [
        *(("put", 1), ("optimize", 13), ("gc", 1)),
        pytest.param("optimize", 1, marks=EVERY),
    ],
)
def test_a_kill_before_any_change_to_the_disk_loses_nothing(
    prepared: Path, victims: Victims, tmp_path: Path, action: str, step: int
) -> None:
    number = 1 - step
    killed = True
    while killed:
        number += step
        root = tmp_path / f"{action}-{number}"
        shutil.copytree(prepared, root)
        shutil.copy(f"{prepared}.acks", f"{root}.acks")
        victims.start(action, root, seeds=[3, 30], die_before=number)
        killed = victims.killed()
        check(root, contents=number % 5 == 0)
        victims.start(action, root, seeds=[3, 30])  # whoever comes next finishes the work
        assert not victims.killed()
        check(root)
        if number % 4 == 0 or not killed:
            check_tidy(root)
            check(root)
        shutil.rmtree(root)
    assert number > max(15, 2 * step), "the victims were not killed where it matters"


@pytest.mark.parametrize(("before", "then"), [("small", "fast"), ("fast", "small")])
@pytest.mark.parametrize("step", [17, pytest.param(5, marks=EVERY)])
def test_a_kill_before_any_change_of_a_remake_loses_nothing(
    victims: Victims, tmp_path: Path, before: str, then: str, step: int
) -> None:
    """Chains of differences are made shallow, or deep again; gc then goes by the new records."""
    prepared = tmp_path / "prepared"
    family = [victim.FAMILIES + n for n in range(3)]
    victim.put(prepared, {"seeds": family})
    victim.optimize(prepared, {})
    if before == "fast":
        victim.remake(prepared, {"profile": "fast"})
        victim.gc(prepared, {})
    number = 0
    killed = True
    while killed:
        number += step
        root = tmp_path / f"remade-{number}"
        shutil.copytree(prepared, root)
        shutil.copy(f"{prepared}.acks", f"{root}.acks")
        victims.start("remake", root, profile=then, die_before=number)
        killed = victims.killed()
        check(root, contents=number % 5 == 0)
        victim.gc(root, {})
        check(root)
        victims.start("remake", root, profile=then)
        assert not victims.killed()
        victim.gc(root, {})
        check(root)
        shutil.rmtree(root)
    assert number > 2 * step, "the victims were not killed where it matters"


def rounds_of_kills(root: Path, servers: list[Victims], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    for number in count():
        if number >= rounds and len(victim.acknowledged(root)) >= 3:
            break
        assert number < 10 * rounds, "victims are killed before anything is acknowledged"
        for lane, server in enumerate(servers):
            after = rng.uniform(0.01, 0.5)
            server.start("forever", root, seed=rng.random(), lane=lane, die_after_s=after)
        for server in servers:
            assert server.killed()
        check(root, contents=number % 5 == 4)
    check(root)
    check_tidy(root)
    check(root)


def test_kills_at_random_instants_lose_nothing(tmp_path: Path, victims: Victims) -> None:
    rounds_of_kills(tmp_path / "store", [victims], 15, seed=1)


def test_kills_of_two_processes_at_work_on_one_store_lose_nothing(
    tmp_path: Path, victims: Victims
) -> None:
    second = Victims()
    try:
        rounds_of_kills(tmp_path / "store", [victims, second], 12, seed=2)
    finally:
        second.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_hundreds_of_kills_lose_nothing(tmp_path: Path, victims: Victims, seed: int) -> None:
    second = Victims()
    try:
        rounds_of_kills(tmp_path / "store", [victims, second], 60, seed=seed + 100)
    finally:
        second.close()
