"""Kill -9 at any instant: the store opens, verifies, and holds everything acknowledged.

Real processes and real kills. A kill does not lose what the kernel has in memory; that
bytes are synced before they are acknowledged is checked in `test_backends`.
"""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store import victim

ROOT = Path(__file__).parents[2]


class Victims:
    """Processes to kill, forked by a server that has everything imported."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.store.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def start(self, action: str, root: Path, **more: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"action": action, "root": str(root), **more}) + "\n")
        self._server.stdin.flush()

    def killed(self) -> bool:
        """Wait for the victim's end; False if it finished its work first."""
        assert self._server.stdout is not None
        end = json.loads(self._server.stdout.readline())
        assert end["killed"] or end["code"] == 0, "the victim failed by itself"
        return bool(end["killed"])

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    server = Victims()
    yield server
    server.close()


def check(root: Path, *, contents: bool = True) -> None:
    """The store opens, verifies, and holds what was acknowledged, byte for byte."""
    store = victim.open_store(root)
    assert store.verify().bad == ()
    for seed, digest in victim.acknowledged(root).items():
        assert store.has(digest)
        if contents:
            assert store.read_bytes(digest, 1 << 30) == victim.file_of(seed)


def check_tidy(root: Path) -> None:
    """Another gc leaves nothing behind that no blob needs."""
    victim.gc(root, {})
    store = victim.open_store(root)
    kept = victim.acknowledged(root)
    stats = store.stats()
    assert stats.blobs == len(set(kept.values()))
    assert list((root / "tmp").iterdir()) == []
    assert list(root.glob("packs/*.dead")) == []
    assert {p.stem for p in root.glob("packs/*.idx")} == {p.stem for p in root.glob("packs/*.pack")}
    before = sorted(p.name for p in root.glob("packs/*"))
    victim.gc(root, {})
    assert sorted(p.name for p in root.glob("packs/*")) == before


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


@pytest.mark.parametrize("action", ["put", "optimize", "gc"])
def test_a_kill_before_any_change_to_the_disk_loses_nothing(
    prepared: Path, victims: Victims, tmp_path: Path, action: str
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
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
    assert number > 15, "the victims were not killed where it matters"


def rounds_of_kills(root: Path, servers: list[Victims], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(rounds):
        for lane, server in enumerate(servers):
            after = rng.uniform(0.01, 0.5)
            server.start("forever", root, seed=rng.random(), lane=lane, die_after_s=after)
        for server in servers:
            assert server.killed()
        check(root, contents=number % 5 == 4)
    check(root)
    assert len(victim.acknowledged(root)) >= 3
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
