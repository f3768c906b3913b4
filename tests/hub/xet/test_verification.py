"""Everything a shard claims is compared with what was uploaded; each lie is named."""

import random

import pytest

from cairn.errors import IntegrityError, LimitError, MalformedError
from cairn.hub.xet import shard, verification, xorb
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.staged import NotStagedError, Staged, StagedFile, StagedTerm
from cairn.store import open_local_store
from tests.hub.xet.builders import File, Xorb, shard_of
from tests.hub.xet.builders import shard as make_shard

GIB = 1 << 30
A = Xorb([b"one", b"two" * 50, bytes(4000)], [0, 1, 2])
B = Xorb([b"four", b"five"])
SCOPE = Scope(7, "t" * 16)


@pytest.fixture
def store(tmp_path):
    return open_local_store(tmp_path / "store")


@pytest.fixture
def staged(store):
    made = Staged(store.staging, SCOPE)
    for each in (A, B):
        put(made, each)
    return made


def put(staged: Staged, made: Xorb) -> None:
    table, used = xorb.verify(memoryview(made.body), made.name)
    staged.put_xorb(table, memoryview(made.body)[:used])


def check(body: bytes, staged: Staged, max_bytes: int = GIB):
    return verification.verify(shard.parse(memoryview(body)), staged, max_bytes)


def test_true_claims_become_plans(staged):
    file = File([(A, 0, 2), (B, 1, 2), (A, 0, 1)])
    (plan,) = check(shard_of(file), staged)
    assert plan.name == file.name
    assert plan.sha256.hex == file.sha256
    assert plan.size_bytes == len(file.data)
    assert [(t.xorb, t.start, t.stop) for t in plan.terms] == [
        (A.name, 0, 2),
        (B.name, 1, 2),
        (A.name, 0, 1),
    ]


RUNS = [(A, 0, 2)]


@pytest.mark.parametrize(
    ("lies", "message"),
    [
        ({"name": b"\1" * 32}, "hash to"),
        ({"plain": 5}, "bytes, not 5"),
        ({"plain": 2**32 - 1}, "bytes, not"),
        ({"range": (0, 4)}, "it has 3"),
        ({"range": (2, 2)}, "it has 3"),
        ({"range": (2, 1)}, "it has 3"),
        ({"range": (2**32 - 1, 0)}, "it has 3"),
        ({"range": (0, 2**32 - 1)}, "it has 3"),
        ({"range_name": b"\2" * 32}, "range hash"),
    ],
)
def test_a_false_claim_about_a_file_is_refused(staged, lies, message):
    with pytest.raises(MalformedError, match=message):
        check(make_shard([File(RUNS, lies).record()], []), staged)


def test_a_xorb_nobody_uploaded_is_refused(staged):
    stranger = Xorb([b"never sent"])
    with pytest.raises(NotStagedError, match="Run the upload again"):
        check(make_shard([File([(stranger, 0, 1)]).record()], []), staged)
    with pytest.raises(NotStagedError):
        check(make_shard([], [stranger.record()]), staged)


def test_a_xorb_of_another_scope_is_refused(store, staged):
    other = Staged(store.staging, Scope(7, "u" * 16))
    with pytest.raises(NotStagedError):
        check(shard_of(File(RUNS)), other)
    assert check(shard_of(File(RUNS)), staged)


@pytest.mark.parametrize("lie", [{"chunk_name": b"\3" * 32}, {"name": B.name}])
def test_a_false_claim_about_a_xorb_is_refused(staged, lie):
    with pytest.raises(MalformedError, match="not those that were uploaded"):
        check(make_shard([], [A.record(**lie)]), staged)


def test_files_larger_than_allowed_are_refused_together(staged):
    files = [File([(A, 2, 3)]), File([(A, 0, 3)])]
    total = sum(len(f.data) for f in files)
    assert len(check(shard_of(*files), staged, total)) == 2
    with pytest.raises(LimitError, match="more than"):
        check(shard_of(*files), staged, total - 1)


def test_naming_tiny_chunks_over_and_over_is_refused(staged, monkeypatch):
    monkeypatch.setattr(verification, "FREE_CHUNKS", 100)
    file = File([(B, 0, 2)] * 60)
    with pytest.raises(LimitError, match="too small"):
        check(shard_of(file), staged)


def test_a_damaged_table_is_an_error_of_ours_not_of_the_client(store, staged):
    store.staging.put(SCOPE.staging_name, f"xorb-{A.text}", [b"short"])
    with pytest.raises(IntegrityError, match="damaged"):
        check(shard_of(File(RUNS)), staged)


def test_staged_files_are_read_back_as_they_were_put(staged, store):
    rng = random.Random(3)
    terms = tuple(StagedTerm(rng.randbytes(32), i, i + 5, rng.randrange(2**32)) for i in range(50))
    blob = store.put_bytes(b"content")
    staged.put_file(b"\4" * 32, StagedFile(blob, terms))
    assert staged.file(b"\4" * 32) == StagedFile(blob, terms)
    assert staged.find_file(b"\5" * 32) is None
