"""What hangs in one lane of the worker holds up no other, and is noticed."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from cairn.catalog import LaneBeat
from cairn.config import Settings
from cairn.domain import Scope
from cairn.hub import upkeep
from cairn.hub.pulse import SILENCE_S, Pulse, worker_name
from cairn.hub.watch import HEARD_S, Watch
from cairn.hub.worker import Worker
from tests.hub.web.homes import SECRET, Home, open_home

PATIENCE_S = 30.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with open_home(tmp_path) as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, secret=SECRET, tensor_health=False)


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_scans_go_on_while_upkeep_hangs(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, hangs = threading.Event(), threading.Event()

    def hang(*_: object) -> int:
        hangs.set()
        return int(goes_on.wait(PATIENCE_S))

    monkeypatch.setattr(upkeep, "describe_pending", hang)
    worker = Worker(home.house, settings)
    worker.start()
    try:
        assert hangs.wait(PATIENCE_S)
        home.repo("ada/m", {"notes.txt": b"nothing here"})
        end = time.monotonic() + PATIENCE_S
        while home.house.catalog.blob_scans.counts("", "").scans < 1:
            assert time.monotonic() < end and not goes_on.is_set()
            time.sleep(0.05)
        at = {beat.lane: beat.step for beat in worker.lanes()}
        assert at["upkeep"] == "describe"
        assert {one.lane for one in home.house.catalog.lanes.all()} == {"scan", "upkeep"}
    finally:
        goes_on.set()
        worker.stop()
    assert home.house.catalog.lanes.all() == []


def test_a_lane_that_does_not_advance_is_told_of_once(home: Home) -> None:
    home.house.catalog.accounts.create_user("root", is_admin=True)
    token = home.house.catalog.tokens.create("root", "all", Scope.WRITE)
    clock = Hands()
    house = dataclasses.replace(home.house, clock=clock)
    pulse = Pulse("upkeep", clock)
    watch = Watch(house, [pulse])
    home.app.state.lanes = watch.own
    pulse.begin("optimize")

    def health() -> dict:
        return home.client.get("/api/cairn/health").json()

    with structlog.testing.capture_logs() as logged:
        clock.advance(SILENCE_S - 1)
        pulse.beat()
        clock.advance(SILENCE_S - 1)
        watch.look()
        assert logged == [] and health()["status"] == "ok"
        clock.advance(2)
        watch.look()
        watch.look()
    (line,) = logged
    assert (line["event"], line["lane"], line["step"]) == ("no progress", "upkeep", "optimize")
    assert (health()["status"], health()["stalled"]) == ("stalled", ["upkeep"])
    (notice,) = home.house.catalog.notifications.of("root", 5)
    assert "optimize" in notice.text and "restart" in notice.text
    headers = {"authorization": f"Bearer {token}"}
    (told,) = home.client.get("/api/cairn/store", headers=headers).json()["background"]
    assert (told["worker"], told["lane"], told["hangs"]) == (worker_name(), "upkeep", True)
    assert home.client.get("/api/cairn/store").json()["background"] is None
    pulse.beat()
    watch.look()
    assert health()["status"] == "ok" and len(home.house.catalog.notifications.of("root", 5)) == 1


def test_a_reading_process_that_falls_silent_is_killed(home: Home, settings: Settings) -> None:
    worker = Worker(home.house, settings)
    reading = worker._upkeep._reading
    silent = [sys.executable, "-c", "import time; time.sleep(60)"]
    reading._process = subprocess.Popen(silent, stdin=subprocess.PIPE, text=True)
    past = datetime.now(UTC) - timedelta(hours=1)
    name = worker_name(reading.pid)
    worker.watch.reads(name)
    home.house.catalog.lanes.put(name, [LaneBeat(name, "read", "read", past, past, past, past)])
    try:
        worker._upkeep._read()
        assert reading.is_running  # nobody looked yet
        home.house.catalog.lanes.put(
            name, [LaneBeat(name, "read", "read", past, past, past, datetime.now(UTC))]
        )
        worker.watch.look()
        worker._upkeep._read()
        reading._process.wait(PATIENCE_S)
    finally:
        worker.stop()
    assert reading.pid is None


def test_what_was_killed_or_is_of_another_hub_hangs_no_more(home: Home) -> None:
    home.house.catalog.accounts.create_user("root", is_admin=True)
    lanes, clock = home.house.catalog.lanes, Hands()
    watch = Watch(dataclasses.replace(home.house, clock=clock), [])
    reader = worker_name(1)
    watch.reads(reader)

    def hanging(worker: str, seen_s: float) -> None:
        past, seen = clock() - timedelta(hours=1), clock() + timedelta(seconds=seen_s)
        lanes.put(worker, [LaneBeat(worker, "read", "read", past, past, past, seen)])

    hanging(reader, 0)
    hanging("other:1", 0)
    watch.look()
    (notice,) = home.house.catalog.notifications.of("root", 5)
    assert reader in notice.text and watch.reader_hangs()
    clock.advance(1)
    watch.reads(reader)  # another process of the same number
    assert not watch.reader_hangs() and [one.worker for one in lanes.all()] == ["other:1"]
    hanging(reader, -HEARD_S)
    Watch(dataclasses.replace(home.house, clock=clock), []).look()
    watch.look()
    assert len(home.house.catalog.notifications.of("root", 5)) == 1 and not watch.reader_hangs()
