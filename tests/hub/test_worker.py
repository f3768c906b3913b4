"""The hub's worker at its work: what it does, what it says, and how people hold it up."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

from cairn.config import Settings
from cairn.domain import Blob, Scope
from cairn.hub.worker import Worker
from cairn.workflows.optimize import optimize_pending
from tests.hub.web.homes import SECRET, Home, open_home
from tests.store.making import safetensors, weights

PATIENCE_S = 30.0
MIB = 1 << 20
ELEMENTS = 2 * MIB


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with open_home(tmp_path, optimize_cpu_share=0.05) as opened:
        yield opened


@pytest.fixture
def admin(home: Home) -> dict[str, str]:
    home.house.catalog.accounts.create_user("root", is_admin=True)
    token = home.house.catalog.tokens.create("root", "all", Scope.WRITE)
    return {"authorization": f"Bearer {token}"}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def push(home: Home) -> Blob:
    """A repo whose one large file has several parts."""
    file = safetensors({f"layer.{n}": ("F32", weights(n, ELEMENTS)) for n in range(3)})
    repo = home.repo("ada/model", {"model.safetensors": file})
    record = home.house.catalog.repos.get(repo)
    head = home.house.catalog.history.resolve(record.uid, "main")
    return home.house.catalog.history.manifest(head.tree).entries["model.safetensors"].blob


def store_answer(home: Home, headers: dict[str, str] | None = None) -> dict:
    return home.client.get("/api/cairn/store", headers=headers or {}).json()


def answer(home: Home, headers: dict[str, str] | None = None) -> dict:
    return store_answer(home, headers)["optimizing"]


def hub_worker(home: Home, tmp_path: Path, **settings: object) -> Worker:
    given = {
        "secret": SECRET,
        "optimize_delay_s": 0.0,
        "tensor_health": False,
        "scan_policy": "allow",
    }
    given |= settings
    worker = Worker(home.house, Settings(data_dir=tmp_path, **given))
    home.app.state.journal = worker.journal
    return worker


def test_a_pause_ends_the_blob_in_hand_and_survives_until_somebody_resumes(
    home: Home, admin: dict[str, str], tmp_path: Path
) -> None:
    blob = push(home)
    worker = hub_worker(home, tmp_path, optimize_cpu_share=0.05)
    worker.start()
    try:
        until(lambda: (answer(home, admin)["in_work"] or {"percent": 0})["percent"] > 0)
        now = answer(home, admin)
        assert now["state"] == "working" and now["in_work"]["sha256"] == blob.digest.hex
        assert now["in_work"]["files"] == [
            {"type": "model", "repo": "ada/model", "path": "model.safetensors"}
        ]
        assert answer(home)["in_work"] is None  # which file it is concerns nobody else
        page = home.page("/ada/model/storage/main")
        assert "waits to be kept in less; model.<wbr>safetensors is at" in page
        began = time.monotonic()
        assert home.client.put("/api/cairn/store/pause", headers=admin).status_code == 204
        until(lambda: answer(home, admin)["state"] == "paused" and not worker_has_work(worker))
        assert time.monotonic() - began < 10
        assert "paused since" in home.page("/ada/model/storage/main")
        assert answer(home)["blobs"] == 0 and home.house.store.waits(blob.digest)
    finally:
        worker.stop()
    second = hub_worker(home, tmp_path)  # a hub that starts anew heeds the pause as well
    second.start()
    try:
        time.sleep(1.5)
        assert home.house.store.waits(blob.digest)
        assert home.client.delete("/api/cairn/store/pause", headers=admin).status_code == 204
        until(lambda: answer(home)["blobs"] == 1)
    finally:
        second.stop()
    assert not home.house.store.waits(blob.digest) and answer(home)["saved_bytes"] > 0
    assert "to be kept in less" not in home.page("/ada/model/storage/main")
    done = [(row.actor, row.action) for row in home.house.catalog.audit.recent(2)]
    assert done == [("root", "store.resume"), ("root", "store.pause")]


def worker_has_work(worker: Worker) -> bool:
    return worker.journal.read()[0].in_work is not None


def test_only_administrators_pause(home: Home) -> None:
    assert home.client.put("/api/cairn/store/pause").status_code == 401
    headers = {"authorization": f"Bearer {home.token}"}
    for method in (home.client.put, home.client.delete):
        refused = method("/api/cairn/store/pause", headers=headers)
        assert refused.status_code == 403 and "does not administer" in refused.json()["error"]
    assert home.house.store.pause.since_s() is None


def test_a_damaged_blob_is_told_to_administrators(
    home: Home, admin: dict[str, str], tmp_path: Path
) -> None:
    blob = home.house.store.put_bytes(safetensors({"w": ("F32", weights(1, 50_000))}))
    path = home.house.store.local_path(blob.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    worker = hub_worker(home, tmp_path)
    worker.start()
    try:
        until(lambda: answer(home)["failed"] == 1)
    finally:
        worker.stop()
    assert blob.digest.hex in answer(home, admin)["last_error"]
    assert answer(home)["last_error"] is None


def test_the_newest_files_are_kept_fast_and_what_they_took_before_is_freed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.hub.upkeep.HOUSEKEEPING_S", 0.0)
    base = np.frombuffer(weights(1, 50_000), "<f4")
    tuned = (base + np.frombuffer(weights(2, 50_000), "<f4") / 100).astype("<f4")
    for name, values in (("ada/base", base), ("ada/tuned", tuned)):
        home.repo(name, {"model.safetensors": safetensors({"w": ("F32", values.tobytes())})})
    assert all(done.rewritten for done in optimize_pending(home.house, pytest.fail))
    assert home.house.store.kept_fast() == {}
    worker = hub_worker(home, tmp_path)
    worker.start()
    try:
        until(lambda: len(home.house.store.kept_fast()) == 2)
        until(lambda: any(tmp_path.rglob("packs/*.dead")))  # goes when no reader is left
    finally:
        worker.stop()
    until(lambda: store_answer(home)["fast_blobs"] == 2)  # totals may be a moment old
    assert home.page("/ada/tuned/storage/main").count(">fast</span>") == 1


def test_what_is_read_back_damaged_is_logged_and_told_with_its_file(
    home: Home, admin: dict[str, str], tmp_path: Path
) -> None:
    blob = push(home)
    path = home.house.store.local_path(blob.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    worker = hub_worker(home, tmp_path, optimize=False, verify_every_s=0.001)
    with structlog.testing.capture_logs() as logged:
        worker.start()
        try:
            until(lambda: (store_answer(home)["reading"] or {}).get("last_round") is not None)
        finally:
            worker.stop()
    (error,) = [line for line in logged if line["event"] == "damaged blob"][:1]
    (file,) = error["files"]
    assert error["blob"] == blob.digest.hex
    assert file.startswith("ada/model at ") and file.endswith(": model.safetensors")
    until(lambda: store_answer(home)["damaged"] == 1)  # totals may be a moment old
    assert store_answer(home)["damaged_blobs"] is None  # which file it is concerns nobody else
    (named,) = store_answer(home, admin)["damaged_blobs"]
    assert (named["sha256"], named["files"][0]["path"]) == (blob.digest.hex, "model.safetensors")
    assert "cannot be read whole" in home.page("/ada/model/storage/main")
