"""The log over HTTP: files as C2SP's clients ask for them, proofs for who may see the repo."""

import json
import time

import pytest

from cairn.domain import LogEvent
from cairn.hub.worker import Worker
from cairn.provenance.log import LogProof, PublicKey, TreeHead, open_note, unpack_entries
from tests.hub.conftest import Hub, Repo

# Making a repo commits its .gitattributes: entry 0.


def key_of(hub: Hub) -> PublicKey:
    return PublicKey.parse(hub.client().get("/api/cairn/log/key").text)


def head_of(hub: Hub) -> TreeHead:
    answer = hub.client().get("/api/cairn/log/checkpoint")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return TreeHead.parse(open_note(answer.content, [key_of(hub)]))


def test_a_push_is_in_the_next_checkpoint_and_its_entry_is_served(hub: Hub, repo: Repo) -> None:
    assert head_of(hub).size == 1
    commit = repo.put("a.txt", b"a")
    assert head_of(hub).size == 2
    answer = hub.client().get("/api/cairn/log/tile/entries/000.p/2")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "immutable" in answer.headers["cache-control"]
    _, entry = unpack_entries(answer.content)
    said = json.loads(entry)
    assert (said["new"], said["repo"], said["ref"]) == (commit, "models/ann/m", "refs/heads/main")
    assert len(hub.client().get("/api/cairn/log/tile/0/000.p/1").content) == 32


@pytest.mark.parametrize("path", ["0/000", "0/000.p/3", "entries/001", "9/000", "0/0", "%2e%2e/x"])
def test_a_tile_that_is_not_there_is_404(hub: Hub, repo: Repo, path: str) -> None:
    repo.put("a.txt", b"a")
    assert head_of(hub).size == 2
    assert hub.client().get(f"/api/cairn/log/tile/{path}").status_code == 404


def test_the_proof_of_a_revision_holds_without_the_hub(hub: Hub, repo: Repo) -> None:
    commit = repo.put("a.txt", b"a")
    repo.put("b.txt", b"b")
    answer = hub.client().get(f"/api/cairn/models/ann/m/log/{commit}").json()
    assert (answer["number"], answer["size"], answer["hidden"]) == (1, 3, False)
    assert answer["content"] == answer["entry"]
    event = LogProof.parse(answer["proof"].encode()).check([key_of(hub)])
    assert isinstance(event, LogEvent)
    assert event.new == commit


def test_a_private_repo_is_proved_to_its_readers_only(hub: Hub) -> None:
    repo = Repo(hub.client("ann"), "ann/hush").create(private=True)
    commit = repo.put("a.txt", b"a")
    path = f"/api/cairn/models/ann/hush/log/{commit}"
    told = hub.client("ann").get(path).json()
    assert told["hidden"] and commit in told["content"] and commit not in told["entry"]
    assert head_of(hub).size == 2
    everything = hub.client().get("/api/cairn/log/tile/entries/000.p/2").content
    assert b"hush" not in everything and commit.encode() not in everything
    assert hub.client("eve").get(path).status_code in (401, 404)
    assert hub.client().get(path).status_code in (401, 404)
    assert hub.client("eve").get(path).text == hub.client("eve").get(
        path.replace("hush", "gone")
    ).text.replace("gone", "hush")


def test_a_revision_that_does_not_exist_has_no_proof(hub: Hub, repo: Repo) -> None:
    repo.put("a.txt", b"a")
    assert hub.client().get("/api/cairn/models/ann/m/log/nope").status_code == 404


def test_the_worker_puts_what_waits_into_the_log_without_being_asked(hub: Hub, repo: Repo) -> None:
    repo.put("a.txt", b"a")
    assert hub.house.catalog.logbook.size() == 0
    running = Worker(hub.house, hub.settings.model_copy(update={"optimize": False}))
    running.start()
    try:
        for _ in range(500):
            if hub.house.catalog.logbook.size():
                break
            time.sleep(0.02)
    finally:
        running.stop()
    assert hub.house.catalog.logbook.size() == 2
