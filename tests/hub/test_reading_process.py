"""The process that reads tensor values: does what waits, heeds the hub, never outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.config import Settings
from cairn.hub.reading_process import ReadingProcess
from cairn.hub.worker import Worker
from cairn.workflows import kept_comparisons, kept_weights, stored_health
from tests.hub.web.homes import SECRET, Home, open_home

WEIGHTS = np.random.default_rng(0).normal(size=(16, 8)).astype("<f4")
SETTINGS = {"secret": SECRET, "optimize": False, "optimize_delay_s": 0.0}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    with open_home(tmp_path) as opened:
        yield opened


@pytest.fixture
def trees(home: Home) -> tuple[str, str]:
    """Two trees of one repo whose comparison waits, beside blobs that were not measured."""
    repo_id = home.repo("ada/m")
    files = ({"model.safetensors": save({"w": WEIGHTS + by})} for by in (0, 1))
    before, after = (home.commit(repo_id, one).tree for one in files)
    assert kept_comparisons.asked(home.house, (before, after), 1) is not None
    assert kept_weights.asked(home.house, (before, after)) is not None
    return before, after


def until(is_so: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_done(home: Home) -> bool:
    house = home.house
    return not (kept_comparisons.any_pending(house) or stored_health.any_pending(house))


def test_it_does_all_that_waits_and_ends(
    home: Home, trees: tuple[str, str], tmp_path: Path
) -> None:
    reading = ReadingProcess(Settings(data_dir=tmp_path, **SETTINGS))
    assert reading.collect() is None
    reading.start()
    assert reading.is_running
    until(lambda: not reading.is_running)
    assert (reading.collect(), reading.collect()) == (0, None)
    assert is_done(home)
    known = kept_comparisons.asked(home.house, trees, 1)
    assert known is not None
    assert known.content
    assert kept_weights.known(home.house, trees) is not None


def test_health_that_is_switched_off_is_not_measured(
    home: Home, trees: tuple[str, str], tmp_path: Path
) -> None:
    reading = ReadingProcess(Settings(data_dir=tmp_path, tensor_health=False, **SETTINGS))
    reading.start()
    until(lambda: not reading.is_running)
    assert not kept_comparisons.any_pending(home.house)
    assert stored_health.any_pending(home.house)


def test_it_waits_when_told_and_goes_on_when_told(
    home: Home, trees: tuple[str, str], tmp_path: Path
) -> None:
    reading = ReadingProcess(Settings(data_dir=tmp_path, **SETTINGS))
    reading.start()
    reading.let_go_on(False)
    time.sleep(4)
    assert reading.is_running
    assert stored_health.any_pending(home.house)
    reading.let_go_on(True)
    until(lambda: not reading.is_running)
    assert is_done(home)


def test_it_ends_with_the_hub_that_started_it(home: Home, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, **SETTINGS).model_dump_json()
    code = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-m', 'cairn.hub.reading_process'],"
        " stdin=subprocess.PIPE, text=True);"
        f"p.stdin.write({settings!r} + '\\nwait\\n'); p.stdin.flush();"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    home.repo("ada/m", {"model.safetensors": save({"w": WEIGHTS})})
    hub = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert hub.stdout is not None
    child = int(hub.stdout.readline())
    time.sleep(1)
    os.kill(child, 0)
    hub.kill()
    hub.wait()
    hub.stdout.close()
    until(lambda: not Path(f"/proc/{child}").exists() or _is_dead(child))


def _is_dead(pid: int) -> bool:
    """Whether it is gone but for its entry, which nobody has collected."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_worker_has_values_read_elsewhere(
    home: Home, trees: tuple[str, str], tmp_path: Path
) -> None:
    worker = Worker(home.house, Settings(data_dir=tmp_path, **SETTINGS))
    worker.start()
    try:
        until(lambda: is_done(home))
    finally:
        worker.stop()
    assert kept_comparisons.asked(home.house, trees, 1).content


def test_a_process_that_crashed_is_reported_once_with_its_signal(
    home: Home, trees: tuple[str, str], tmp_path: Path
) -> None:
    reading = ReadingProcess(Settings(data_dir=tmp_path, **SETTINGS))
    reading.start()
    reading.let_go_on(False)
    reading._process.kill()
    until(lambda: not reading.is_running)
    assert reading.collect() == -signal.SIGKILL
    reading.start()
    until(lambda: not reading.is_running)
    assert reading.collect() == 0
    assert is_done(home)
