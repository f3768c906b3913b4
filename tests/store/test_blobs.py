"""What goes in comes out: puts, reads, ranges, staging, the format marker."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import Blob, Digest
from cairn.errors import (
    BlobNotFoundError,
    EntryNotFoundError,
    IntegrityError,
    LimitError,
    RequestError,
    UnavailableError,
)
from cairn.store import BlobStore, open_local_store
from cairn.store.cutting import MAX_PART_BYTES
from tests.store.making import checkpoint, layout_of, optimized, weights

MISSING = Digest.sha256("00" * 32)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path / "store")


def digest_of(data: bytes) -> Digest:
    return Digest.sha256(hashlib.sha256(data).hexdigest())


def test_a_blob_is_named_by_its_sha256(store: BlobStore) -> None:
    assert store.put_bytes(b"hello") == Blob(digest_of(b"hello"), 5)
    assert store.has(digest_of(b"hello"))
    assert store.blob(digest_of(b"hello")).size_bytes == 5
    assert store.read_bytes(digest_of(b"hello"), 100) == b"hello"


def test_the_empty_blob_is_a_blob(store: BlobStore) -> None:
    digest = store.put([]).digest
    assert store.read_bytes(digest, 0) == b""
    with store.open(digest) as reader:
        assert list(reader.stream()) == []
    assert store.verify().bad == ()


def test_chunks_and_views_are_written_in_order(store: BlobStore) -> None:
    with store.writer() as writer:
        writer.write(b"ab")
        writer.write(memoryview(b"xcdx")[1:3])
        assert writer.size_bytes == 4
        assert writer.finish().digest == digest_of(b"abcd")


def test_putting_a_blob_again_changes_nothing(store: BlobStore) -> None:
    for _ in range(3):
        digest = store.put_bytes(b"same").digest
    assert store.stats().raw_blobs == 1
    file = checkpoint([1])
    digest = optimized(store, file)
    assert store.put_bytes(file).digest == digest
    assert store.stats().raw_blobs == 1  # only "same": the recipe serves


def test_an_unexpected_digest_keeps_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="expected sha256:0000"):
        store.put([b"abc"], expected=MISSING)
    assert not store.has(digest_of(b"abc"))
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_leaving_a_writer_without_finish_discards(store: BlobStore, tmp_path: Path) -> None:
    with store.writer() as writer:
        writer.write(b"abc")
    assert not store.has(digest_of(b"abc"))
    assert list((tmp_path / "store/tmp").iterdir()) == []
    with pytest.raises(RequestError):
        writer.finish()
    with pytest.raises(RequestError):
        writer.write(b"more")


def test_missing_blobs_are_not_found(store: BlobStore) -> None:
    assert not store.has(MISSING)
    assert store.local_path(MISSING) is None
    for ask in (store.blob, store.open, store.touch):
        with pytest.raises(BlobNotFoundError):
            ask(MISSING)
    with pytest.raises(BlobNotFoundError):
        store.optimize(MISSING, None)
    assert store.verify([MISSING]).bad[0][0] == MISSING


def test_small_reads_have_a_limit(store: BlobStore) -> None:
    digest = store.put_bytes(b"12345").digest
    with pytest.raises(LimitError, match="at most 4"):
        store.read_bytes(digest, 4)


def test_a_raw_blob_has_a_path_and_a_rewritten_one_has_not(store: BlobStore) -> None:
    file = checkpoint([1, 2])
    blob = store.put_bytes(file)
    path = store.local_path(blob.digest)
    assert path is not None
    assert path.read_bytes() == file
    store.optimize(blob.digest, layout_of(file))
    assert store.local_path(blob.digest) is None


FILE = checkpoint([1, 2, 3], count=50_000) + b"tail after the tensors"


@pytest.fixture(scope="module", params=["raw", "recipe"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BlobStore:
    store = open_local_store(tmp_path_factory.mktemp("store"))
    if request.param == "raw":
        store.put_bytes(FILE)
    else:
        optimized(store, FILE)
    return store


@given(start=st.integers(0, len(FILE) + 10), length=st.integers(0, 300_000))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_range_reads_equal_slices(kept: BlobStore, start: int, length: int) -> None:
    with kept.open(digest_of(FILE)) as reader:
        assert reader.read_at(start, length) == FILE[start : start + length]


@given(
    start=st.integers(0, len(FILE)),
    length=st.none() | st.integers(0, len(FILE)),
    block=st.sampled_from([1000, 4096, 65_537, 1 << 20]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streams_equal_slices_in_even_blocks(
    kept: BlobStore, start: int, length: int | None, block: int
) -> None:
    stop = None if length is None else start + length
    with kept.open(digest_of(FILE)) as reader:
        blocks = list(reader.stream(start, stop, block))
    assert b"".join(blocks) == FILE[start:stop]
    assert all(len(b) == block for b in blocks[:-1])
    assert all(type(b) is bytes for b in blocks)


@given(start=st.integers(0, len(FILE)), length=st.none() | st.integers(0, len(FILE)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_equal_slices(kept: BlobStore, start: int, length: int | None) -> None:
    stop = None if length is None else start + length
    with kept.open(digest_of(FILE)) as reader:
        pieces = list(reader.pieces(start, stop, 65_537))
    assert b"".join(pieces) == FILE[start:stop]
    assert all(0 < len(piece) <= MAX_PART_BYTES for piece in pieces)


def test_senseless_ranges_are_refused(kept: BlobStore) -> None:
    with kept.open(digest_of(FILE)) as reader:
        for start, length in ((-1, 5), (5, -1)):
            with pytest.raises(RequestError):
                reader.read_at(start, length)
        with pytest.raises(RequestError):
            list(reader.stream(block_bytes=0))
        with pytest.raises(RequestError):
            list(reader.pieces(block_bytes=0))
        assert reader.name == str(digest_of(FILE))
        assert reader.size_bytes == len(FILE)


def test_staged_objects_are_put_read_listed_and_dropped(store: BlobStore) -> None:
    staging = store.staging
    assert staging.put("upload-1", "part.2", [b"cd", b"e"]) == 3
    assert staging.put("upload-1", "part.1", [b"ab"]) == 2
    assert staging.names("upload-1") == ["part.1", "part.2"]
    assert staging.names("upload-2") == []
    assert staging.has("upload-1", "part.1")
    assert staging.size_bytes("upload-1", "part.2") == 3
    with staging.open("upload-1", "part.2") as source:
        assert (source.name, source.size_bytes) == ("upload-1/part.2", 3)
        assert source.read_at(1, 10) == b"de"
    staging.put("upload-1", "part.1", [b"again"])
    assert staging.size_bytes("upload-1", "part.1") == 5
    staging.drop("upload-1")
    assert staging.names("upload-1") == []
    with pytest.raises(EntryNotFoundError), staging.open("upload-1", "part.1"):
        pass
    with pytest.raises(EntryNotFoundError):
        staging.size_bytes("upload-1", "part.1")


def test_staged_objects_expire(store: BlobStore) -> None:
    store.staging.put("scope", "name", [b"x"])
    assert store.staging.expire(3600) == 0
    assert store.staging.expire(0) == 1
    assert not store.staging.has("scope", "name")


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", ".x", "a b", "x" * 129, "a\0"])
def test_staged_names_cannot_lead_elsewhere(store: BlobStore, bad: str) -> None:
    with pytest.raises(RequestError):
        store.staging.put(bad, "name", [b"x"])
    with pytest.raises(RequestError):
        store.staging.put("scope", bad, [b"x"])


def test_a_failing_upload_stages_nothing(store: BlobStore, tmp_path: Path) -> None:
    def chunks():
        yield b"first"
        raise ConnectionError("client left")

    with pytest.raises(ConnectionError):
        store.staging.put("scope", "name", chunks())
    with pytest.raises(ConnectionError):
        store.put(chunks())
    assert not store.staging.has("scope", "name")
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_a_store_of_a_newer_format_is_not_opened(tmp_path: Path) -> None:
    open_local_store(tmp_path)
    assert (tmp_path / "FORMAT").read_text() == "cairn-store 2\n"
    (tmp_path / "FORMAT").write_text("cairn-store 3\n")
    with pytest.raises(UnavailableError, match=r"format 3.*update Cairn"):
        open_local_store(tmp_path)
    (tmp_path / "FORMAT").write_text("something else\n")
    with pytest.raises(UnavailableError, match="not a Cairn store"):
        open_local_store(tmp_path)


def test_files_of_strangers_in_the_folders_are_ignored(store: BlobStore, tmp_path: Path) -> None:
    digest = store.put_bytes(weights(1, 50_000)).digest
    for place in ("raw/README.txt", "packs/notes.txt"):
        (tmp_path / "store" / place).parent.mkdir(exist_ok=True)
        (tmp_path / "store" / place).write_text("not ours")
    assert list(store.pending()) == [digest]
    assert store.stats().blobs == 1
    assert store.verify().checked == 1
    assert store.collect(lambda: [digest], 0).blobs == 0
