"""Files become blobs: in order, in bounded memory, once, and not at all when something is off."""

import random
import threading
import time

import pytest

from cairn.errors import IntegrityError
from cairn.hub.xet import materialise as module
from cairn.hub.xet import shard, verification, xorb
from cairn.hub.xet.known import Known
from cairn.hub.xet.materialise import Inflight, materialise
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.staged import NotStagedError, Staged
from cairn.hub.xet.xorbs import StagedOrKnown
from cairn.workflows.access import named_reader
from tests.hub.xet.builders import File, Xorb, shard_of
from tests.hub.xet.builders import shard as make_shard
from tests.hub.xet.repos import commit, new_repo

RNG = random.Random(50)


@pytest.fixture
def scene(hub):
    return Staged(hub.house.store.staging, Scope(1, f"{RNG.randrange(10**16):016}"))


def plan(staged: Staged, *files: File) -> tuple[verification.FilePlan, ...]:
    for made in {x.name: x for f in files for x, _, _ in f.runs}.values():
        table, used = xorb.verify(memoryview(made.body), made.name)
        staged.put_xorb(table, memoryview(made.body)[:used])
    return verification.verify(shard.parse(memoryview(shard_of(*files))), staged, 1 << 40)


def some_xorb(count: int, size: int) -> Xorb:
    return Xorb(
        [RNG.randbytes(size) for _ in range(count)], [RNG.randrange(3) for _ in range(count)]
    )


def test_blocks_keep_their_order_whatever_their_cut(hub, scene, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    parts = [some_xorb(20, 300), some_xorb(5, 2500)]
    runs = [(x, a, b) for x in parts for a in range(5) for b in (a + 1, len(x.chunks))]
    RNG.shuffle(runs)
    file = File(runs)
    told = []
    assert materialise(
        hub.house, hub.uid(), scene, scene, plan(scene, file), Inflight(), told.append
    )
    assert hub.received(file.sha256) == file.data
    assert sum(told) == len(file.data)


def test_two_at_once_make_a_file_only_once(hub, scene, monkeypatch):
    plans = plan(scene, File([(some_xorb(10, 1000), 0, 10)]))
    writes = []
    real = module._write

    def slow(*args):
        writes.append(1)
        time.sleep(0.2)
        return real(*args)

    monkeypatch.setattr(module, "_write", slow)
    inflight, results = Inflight(), []

    def run():
        results.append(materialise(hub.house, hub.uid(), scene, scene, plans, inflight))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, True]
    assert len(writes) == 1
    assert inflight._locks == {}


def test_staged_data_that_goes_or_changes_meanwhile_is_noticed(hub, scene):
    made = some_xorb(3, 5000)
    file = File([(made, 0, 3)])
    plans = plan(scene, file)
    key, name = f"xorb-{made.text}", scene._scope
    damaged = bytearray(made.body)
    damaged[8 + 100] ^= 1
    with hub.house.store.staging.open(name, key) as source:
        rest = source.read_at(len(made.body), source.size_bytes)
    hub.house.store.staging.put(name, key, [bytes(damaged), rest])
    with pytest.raises(IntegrityError):
        materialise(hub.house, hub.uid(), scene, scene, plans, Inflight())
    hub.house.store.staging.put(name, key, [made.body[:9000]])
    with pytest.raises(IntegrityError):
        materialise(hub.house, hub.uid(), scene, scene, plans, Inflight())
    hub.house.store.staging.drop(name)
    with pytest.raises(NotStagedError):
        materialise(hub.house, hub.uid(), scene, scene, plans, Inflight())
    assert hub.received(file.sha256) is None


def test_a_blob_that_goes_while_files_are_made_of_it_is_noticed(hub, scene):
    made = some_xorb(40, 8192)
    file, repo = File([(made, 0, 40)]), new_repo(hub, "ann")
    materialise(hub.house, hub.uid(repo), scene, scene, plan(scene, file), Inflight())
    commit(hub, repo, file.data)
    elsewhere = Staged(hub.house.store.staging, Scope(2, scene._scope[-16:]))
    xorbs = StagedOrKnown(elsewhere, Known(hub.house, named_reader(hub.house, "ann")))
    again = verification.verify(shard.parse(memoryview(named_only(file))), xorbs, 1 << 40)
    hub.house.store.collect(list, 0)
    with pytest.raises(NotStagedError):
        materialise(hub.house, hub.uid(), elsewhere, xorbs, again, Inflight())
    assert hub.received(file.sha256) is None


def named_only(file: File) -> bytes:
    """A shard that says nothing of the xorbs it names."""
    return make_shard([file.record()], [])


def test_an_error_while_others_are_at_work_is_told(hub, scene):
    made = some_xorb(30, 1000)
    files = [File([(made, i, i + 1)]) for i in range(29)]
    liar = File([(made, 29, 30)], {"sha256": "1" * 64})
    with pytest.raises(IntegrityError, match=liar.text):
        materialise(hub.house, hub.uid(), scene, scene, plan(scene, *files, liar), Inflight())
    assert hub.received(liar.sha256) is None
