"""The hub is killed in the middle of an upload: what was acknowledged stays, a retry succeeds."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat import minilm
from tests.compat.clients import EACH_WAY, XET, Client, Mode, add
from tests.compat.hubs import Hub

EARLIER = {"config.json": b"{}", "early.bin": bytes(range(256)) * 1000}


def acknowledged(client: Client, repo: str) -> None:
    """A commit the hub has answered for."""
    client.api.create_repo(repo)
    operations = [add(path, content) for path, content in EARLIER.items()]
    client.api.create_commit(repo, operations, commit_message="acknowledged")


def bytes_landing(data: Path) -> int:
    """Bytes of all files below the hub's data folder, the database aside."""
    total = 0
    for path in list((data / "store").rglob("*")):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # moved while we looked
    return total


@pytest.mark.parametrize("mode", EACH_WAY, ids=["xet", "old", "lfs"])
def test_after_a_kill_in_the_middle_of_an_upload_nothing_is_lost_and_a_retry_succeeds(
    mode: Mode, new_client: Callable[..., Client], tmp_path: Path
) -> None:
    hub = Hub(tmp_path / "hub", optimize_delay_s=0)
    hub.start()
    client = new_client(mode, url=hub.url, token=hub.admin_token)
    repo = "admin/interrupted"
    acknowledged(client, repo)
    before = client.api.list_repo_commits(repo)
    start, mark = bytes_landing(hub.data), hub.mark()
    upload = {"target": "api", "name": "upload_file", "token": None}
    arguments = {
        "path_or_fileobj": minilm.FOLDER / minilm.WEIGHTS,
        "path_in_repo": minilm.WEIGHTS,
        "repo_id": repo,
    }
    client.send(upload, (), arguments)
    deadline = time.monotonic() + 60
    while bytes_landing(hub.data) < start + 10_000_000:
        assert time.monotonic() < deadline, "the upload never began"
        time.sleep(0.005)
    hub.kill()
    assert not any("/commit/" in line for line in hub.requests(mark)), "the kill came too late"
    hub.start()
    try:
        client.receive()  # some clients retry by themselves, long enough to succeed
    except Exception as error:  # noqa: BLE001 - any error is fine here, silence is not
        assert error.__class__.__name__ == "ClientError", error
    fresh = new_client(mode, url=hub.url, token=hub.admin_token)
    commits = fresh.api.list_repo_commits(repo)
    assert [c.commit_id for c in commits][-len(before) :] == [c.commit_id for c in before]
    fresh.api.upload_file(**arguments)
    target = tmp_path / "after"
    fresh.api.snapshot_download(repo, local_dir=target)
    assert minilm.sha256(target / minilm.WEIGHTS) == minilm.sha256(minilm.FOLDER / minilm.WEIGHTS)
    assert {path: (target / path).read_bytes() for path in EARLIER} == EARLIER
    hub.settle()
    assert hub.stop() == 0
    hub.verified()
    assert hub.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.05, 0.3, 0.7, 1.2, 2.0, 3.0])
def test_after_a_kill_at_any_moment_of_upload_and_rewriting_the_store_verifies(
    delay_s: float, new_client: Callable[..., Client], tmp_path: Path
) -> None:
    hub = Hub(tmp_path / "hub", optimize_delay_s=0)
    hub.start()
    client = new_client(XET, url=hub.url, token=hub.admin_token)
    acknowledged(client, "admin/killed")
    folder = {"repo_id": "admin/killed", "folder_path": minilm.FOLDER}
    client.send({"target": "api", "name": "upload_folder", "token": None}, (), folder)
    time.sleep(delay_s)
    hub.kill()
    hub.verified()
    hub.start()
    client.close()
    fresh = new_client(XET, url=hub.url, token=hub.admin_token)
    fresh.api.upload_folder(**folder)
    target = tmp_path / "after"
    fresh.api.snapshot_download("admin/killed", local_dir=target)
    found = minilm.digests(target)
    want = minilm.digests(minilm.FOLDER)
    assert {path: found[path] for path in want} == want
    hub.settle()
    assert hub.stop() == 0
    hub.verified()
    assert hub.complaints() == []
