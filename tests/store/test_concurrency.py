"""Several threads and processes on one store: readers, uploads, optimize and gc at once."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError
from cairn.store import BlobStore, StoppedError, open_local_store
from cairn.store.locks import Locks
from tests.store.making import checkpoint, layout_of, optimized, small_pack_store


def together(*actions: Callable[[], None]) -> None:
    """Run the actions in threads; raise the first error of any."""
    errors: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_readers_get_every_byte_while_blobs_are_rewritten_and_collected(tmp_path: Path) -> None:
    stores = [small_pack_store(tmp_path), small_pack_store(tmp_path)]
    files = {n: checkpoint([n, n + 1, n + 2], 20_000) for n in range(8)}
    digests = {n: stores[0].put_bytes(file).digest for n, file in files.items()}
    finished = threading.Event()
    rounds = [0]

    def maintain() -> None:
        try:
            for generation in range(6):
                for n, digest in digests.items():
                    stores[0].optimize(digest, layout_of(files[n]))
                noise = optimized(stores[0], checkpoint([5, 900 + generation, 3], 20_000))
                assert noise not in digests.values()
                stores[0].collect(lambda: digests.values(), 0)
        finally:
            finished.set()

    def read(store: BlobStore) -> Callable[[], None]:
        def loop() -> None:
            while not finished.is_set():
                for n, file in files.items():
                    with store.open(digests[n]) as reader:
                        assert b"".join(reader.stream(block_bytes=7_777)) == file
                        assert reader.read_at(100_000, 50_000) == file[100_000:150_000]
                rounds[0] += 1

        return loop

    together(maintain, read(stores[0]), read(stores[1]), read(stores[1]))
    assert rounds[0] >= 2


def test_one_reader_serves_many_threads(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    file = checkpoint(range(20), 20_000)
    with store.open(optimized(store, file)) as reader:

        def read(start: int) -> Callable[[], None]:
            def loop() -> None:
                for at in range(start, len(file), 90_001):
                    assert reader.read_at(at, 50_000) == file[at : at + 50_000]
                assert b"".join(reader.stream()) == file

            return loop

        together(*(read(start) for start in range(6)))


def test_touched_blobs_survive_any_number_of_collections(tmp_path: Path) -> None:
    """As a commit does it: touch, then live. What touch confirmed must never go."""
    store, sweeper = open_local_store(tmp_path), open_local_store(tmp_path)
    live: set[Digest] = set()
    finished = threading.Event()

    def commit() -> None:
        try:
            for n in range(150):
                digest = store.put_bytes(b"blob %d" % (n % 50)).digest
                time.sleep(0.001)
                try:
                    store.touch(digest)
                except BlobNotFoundError:
                    continue  # gone before it was wanted: the client would send it again
                live.add(digest)
                assert store.has(digest)
                if n % 3 == 0:
                    live.discard(digest)
        finally:
            finished.set()

    def sweep() -> None:
        while not finished.is_set():
            sweeper.collect(lambda: set(live), 0.02)

    together(commit, sweep)
    assert live
    assert all(store.has(digest) for digest in live)
    assert store.verify().bad == ()


def test_the_same_upload_many_times_at_once_is_one_blob(tmp_path: Path) -> None:
    stores = [open_local_store(tmp_path) for _ in range(2)]
    file = checkpoint([1], 50_000)
    together(*(lambda s=s: s.put_bytes(file) and None for s in stores * 4))
    assert stores[0].stats().blobs == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def _optimize_all(root: str, ready: object) -> None:
    store = small_pack_store(Path(root))
    ready.wait()  # type: ignore[attr-defined]
    for digest in sorted(store.pending()):
        store.optimize(digest, layout_of(store.read_bytes(digest, 1 << 30)))


def test_processes_optimizing_the_same_blobs_do_the_work_once(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    files = [checkpoint([n, n + 1], 20_000) for n in range(10)]
    digests = [store.put_bytes(file).digest for file in files]
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(3)
    processes = [spawn.Process(target=_optimize_all, args=(str(tmp_path), ready)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for digest, file in zip(digests, files, strict=True):
        assert store.read_bytes(digest, 1 << 30) == file
    stats = store.stats()
    assert stats.raw_blobs == 0
    assert stats.parts == 11 + 1  # each tensor once, and the header they share


@pytest.mark.parametrize("first", ["adding", "sweeping", "maintenance"])
def test_locks_exclude_what_they_must(tmp_path: Path, first: str) -> None:
    excluded = {
        "adding": {"sweeping"},
        "sweeping": {"adding", "sweeping"},
        "maintenance": {"maintenance"},
    }
    for second in ("adding", "sweeping", "maintenance"):
        entered = threading.Event()

        def enter(second: str = second, entered: threading.Event = entered) -> None:
            with getattr(Locks(tmp_path), second)():
                entered.set()

        thread = threading.Thread(target=enter)
        with getattr(Locks(tmp_path), first)():
            thread.start()
            assert entered.wait(0.1) is (second not in excluded[first])
        thread.join(10)
        assert entered.is_set()


@pytest.mark.parametrize("work", ["optimize", "remake"])
def test_who_waits_for_others_can_be_told_to_stop(tmp_path: Path, work: str) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(checkpoint([1], 20_000)).digest

    def stop(plain_bytes: int) -> None:
        assert plain_bytes == 0
        raise StoppedError

    def wait_and_stop() -> None:
        with pytest.raises(StoppedError):
            getattr(store, work)(digest, None, stop)

    with Locks(tmp_path / "locks").maintenance():
        waiting = threading.Thread(target=wait_and_stop, daemon=True)
        waiting.start()
        waiting.join(20)
        assert not waiting.is_alive()
    assert store.waits(digest)
