"""Several processes and threads on one database: nothing is lost, nothing half done."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import pytest

from cairn.catalog import Catalog, open_catalog
from cairn.domain import Scope
from cairn.errors import ConflictError, StaleParentError
from tests.catalog.histories import blob, commit, model, new_repo, paths, put

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.catalog.committers", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def at_once(count: int, work) -> list:
    """Results or errors of `work(number)` run by `count` threads that start together."""
    barrier = Barrier(count)

    def run(number: int):
        barrier.wait()
        try:
            return work(number)
        except Exception as error:  # noqa: BLE001  the test judges it
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_a_hundred_commits_by_two_processes_of_four_threads_are_all_in_the_log(
    url: str, catalog: Catalog
) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("first"))
    workers = [start(url, repo.uid, label, "4", "50") for label in ("x", "y")]
    printed = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    made = dict(line.split() for text in printed for line in text.splitlines())
    head = catalog.history.resolve(repo.uid, "main")
    log = catalog.history.log(repo.uid, head.id, 1000)
    assert {revision.title: revision.id for revision in log[:-1]} == made
    assert len(made) == 100
    for newer, older in pairwise(log):
        assert newer.parents == (older.id,)
    assert sorted(paths(catalog, head)) == sorted(["first", *(f"shared/{name}" for name in made)])


def test_of_commits_that_name_the_same_parent_exactly_one_is_made(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("first"))
    results = at_once(6, lambda n: commit(catalog, repo, put(f"{n}"), title=f"{n}", parent=head.id))
    made = [result for result in results if not isinstance(result, Exception)]
    assert len(made) == 1
    assert sum(isinstance(result, StaleParentError) for result in results) == 5
    assert catalog.history.resolve(repo.uid, "main") == made[0]


def test_of_creations_of_one_name_exactly_one_succeeds(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("first"))
    for create in (
        lambda n: catalog.accounts.create_user(["bob", "BOB"][n % 2]),
        lambda n: catalog.repos.create(model("ada/same"), private=False),
        lambda n: catalog.history.create_ref(repo.uid, "refs/heads/same", head.id),
        lambda n: catalog.tokens.create("ada", "same", Scope.READ),
    ):
        results = at_once(6, create)
        errors = [result for result in results if isinstance(result, Exception)]
        assert [type(error) for error in errors] == [ConflictError] * 5


def test_first_commits_at_once_line_up(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    results = at_once(5, lambda n: commit(catalog, repo, put(f"{n}"), title=f"{n}"))
    assert [r for r in results if isinstance(r, Exception)] == []
    head = catalog.history.resolve(repo.uid, "main")
    assert catalog.history.count_commits(repo.uid, head.id) == 5


def test_downloads_counted_by_many_threads_are_all_counted(catalog: Catalog) -> None:
    repo = new_repo(catalog)

    def download(number: int) -> None:
        for _ in range(50):
            catalog.repos.count_download(repo.id)
        catalog.repos.flush_downloads()

    assert at_once(6, download) == [None] * 6
    assert catalog.repos.get(repo.id).downloads == 300


def test_a_repo_deleted_while_others_commit_leaves_no_trace(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("first"))

    def work(number: int) -> None:
        if number == 0:
            catalog.repos.delete(repo.id)
        else:
            for step in range(5):
                commit(catalog, repo, put(f"{number}-{step}"), title="x")
                catalog.uploads.record(repo.uid, blob(b"%d" % step))

    at_once(4, work)
    assert catalog.history.refs(repo.uid) == []
    assert list(catalog.history.live_digests()) == []


def test_four_processes_open_one_fresh_database_at_once(empty_url: str) -> None:
    program = (
        "import sys; from cairn.catalog import open_catalog; sys.stdin.read()\n"
        "catalog = open_catalog(sys.argv[1])\n"
        "catalog.accounts.create_user(sys.argv[2]); catalog.close()"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, empty_url, f"user{number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    time.sleep(1)  # let all of them import first, so that they meet at the database
    for worker in workers:
        worker.stdin.close()
    for worker in workers:
        assert worker.wait(60) == 0, worker.stderr.read()
        worker.stderr.close()
    catalog = open_catalog(empty_url)
    assert [a.name for a in catalog.accounts.list_accounts()] == [f"user{n}" for n in range(4)]
    catalog.close()


@pytest.mark.parametrize("acknowledged_before_the_kill", [1, 17, 40])
def test_after_a_kill_every_acknowledged_commit_is_there(
    url: str, catalog: Catalog, acknowledged_before_the_kill: int
) -> None:
    repo = new_repo(catalog)
    first = commit(catalog, repo, put("first"))
    worker = start(url, repo.uid, "k", "3", "100000")
    assert worker.stdout is not None
    acknowledged = [worker.stdout.readline() for _ in range(acknowledged_before_the_kill)]
    worker.send_signal(signal.SIGKILL)
    acknowledged += worker.stdout.readlines()
    worker.wait(10)
    worker.stdout.close()

    reopened = open_catalog(url)
    head = reopened.history.resolve(repo.uid, "main")
    log = reopened.history.log(repo.uid, head.id, 100_000)
    assert log[-1] == first
    assert {line.split()[1] for line in acknowledged if line.endswith("\n")} <= {r.id for r in log}
    assert len(paths(reopened, head)) == len(log), "each commit added one file"
    live = set(reopened.history.live_digests())
    manifest = reopened.history.manifest(head.tree)
    assert {entry.blob.digest for entry in manifest.entries.values()} <= live
    assert commit(reopened, repo, put("after")).parents == (head.id,)
    reopened.close()
