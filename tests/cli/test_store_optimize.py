"""`cairn store optimize`: budgets, Ctrl-C and kill -9, and what the next run finds."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import load_settings
from cairn.store import BlobStore, open_local_store
from tests.cli.command import CAIRN, cairn
from tests.store.making import checkpoint

FILES = [checkpoint([seed, seed + 100], 1 << 20) for seed in range(3)]
PATIENCE_S = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = open_local_store(tmp_path / "store")
    for file in FILES:
        store.put_bytes(file)
    return tmp_path / "store"


def started_slowly(root: Path) -> "subprocess.Popen[str]":
    """A run that rests most of the time, with one of three blobs done."""
    running = subprocess.Popen(
        [str(CAIRN), "store", "optimize", "--cpu-share", "0.1", "--json", "--store", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + PATIENCE_S
    while not any(root.glob("recipes/*/*")):
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    return running


def is_whole(store: BlobStore) -> bool:
    found = {store.put_bytes(file).digest: file for file in FILES}
    return all(store.read_bytes(digest, len(file)) == file for digest, file in found.items())


def test_a_run_killed_in_the_middle_is_taken_up_by_the_next(root: Path) -> None:
    running = started_slowly(root)
    running.kill()
    running.communicate()
    store = open_local_store(root)
    assert store.stats().raw_blobs > 0 and is_whole(store)
    done = json.loads(cairn("store", "optimize", "--json", "--store", str(root)).stdout)
    assert done["blobs"] in (1, 2) and done["left"] == {"blobs": 0, "bytes": 0}
    assert done["ended"] == "done" and done["saved_bytes"] > 0
    assert store.stats().raw_blobs == 0 and store.verify().bad == () and is_whole(store)
    assert "no blob waits" in cairn("store", "optimize", "--store", str(root)).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_and_says_what_is_left(
    root: Path, number: signal.Signals
) -> None:
    running = started_slowly(root)
    began = time.monotonic()
    running.send_signal(number)
    told, said = running.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - began < 10
    assert running.returncode == 130, said
    assert "stopping as soon as nothing is lost by it" in said
    report = json.loads(told)
    assert report["ended"] == "stopped" and "nothing is lost" in said
    assert report["blobs"] in (1, 2) and report["left"]["blobs"] == 3 - report["blobs"]
    assert list((root / "tmp").iterdir()) == []
    assert open_local_store(root).verify().bad == ()


def test_budgets_leave_the_rest_and_say_how_to_go_on(root: Path) -> None:
    first = cairn("store", "optimize", "--max-bytes", "1MB", "--store", str(root)).stdout
    assert "1 blobs" in first and "2 blobs of 16.8 MB wait: run it again" in first
    none = json.loads(
        cairn("store", "optimize", "--max-time", "0.001s", "--json", "--store", str(root)).stdout
    )
    assert (none["ended"], none["blobs"], none["left"]["blobs"]) == ("time", 0, 2)


def test_a_budget_that_makes_no_sense_is_refused(root: Path) -> None:
    for option, value in (("--max-bytes", "much"), ("--max-time", "0"), ("--cpu-share", "-1")):
        cairn("store", "optimize", option, value, "--store", str(root), expect=2)


def test_a_pause_is_kept_until_somebody_resumes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    open_house(load_settings(data_dir=data)).catalog.close()
    assert "resume" in cairn("store", "pause", data=data).stdout
    assert "paused already" in cairn("store", "pause", data=data).stdout
    assert "0 blobs; paused" in cairn("store", "stats", data=data).stdout
    store = open_local_store(data / "store")
    assert store.pause.since_s() == pytest.approx(time.time(), abs=60)
    assert "go on" in cairn("store", "resume", data=data).stdout
    assert "not paused" in cairn("store", "resume", data=data).stdout
    assert store.pause.since_s() is None
