"""What every storage backend must do; subclass `BackendSuite` and give it a fixture `backend`.

class TestMine(BackendSuite):
    @pytest.fixture
    def backend(self): ...
"""
# ruff: noqa: D102 - the names of tests are sentences

import threading
import time

import pytest

from cairn.errors import IntegrityError, RequestError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes, read_all

KEY = "raw/ab/" + "ab" * 32


class BackendSuite:
    """Objects appear whole or not at all, are created once, and can be pinned."""

    def test_what_was_put_is_read_back(self, backend: Backend) -> None:
        assert put_bytes(backend, KEY, b"some bytes")
        assert backend.exists(KEY)
        assert backend.info(KEY).size_bytes == 10
        assert read_all(backend, KEY) == b"some bytes"

    def test_an_empty_object_is_an_object(self, backend: Backend) -> None:
        put_bytes(backend, KEY, b"")
        assert backend.exists(KEY)
        assert read_all(backend, KEY) == b""

    def test_ranges_are_cut_at_the_end_only(self, backend: Backend) -> None:
        put_bytes(backend, KEY, bytes(range(100)))
        with backend.open(KEY) as stored:
            assert stored.size_bytes == 100
            assert stored.read_at(10, 5) == bytes(range(10, 15))
            assert stored.read_at(95, 50) == bytes(range(95, 100))
            assert stored.read_at(100, 1) == stored.read_at(5, 0) == stored.read_at(500, 9) == b""

    def test_a_buffer_is_filled_or_the_object_is_told_to_be_short(self, backend: Backend) -> None:
        put_bytes(backend, KEY, bytes(range(100)))
        buffer = bytearray(b"x" * 20)
        with backend.open(KEY) as stored:
            stored.read_into(90, memoryview(buffer)[4:14])
            assert buffer == b"xxxx" + bytes(range(90, 100)) + b"x" * 6
            stored.read_into(100, memoryview(buffer)[:0])
            with pytest.raises(IntegrityError, match="ends at byte 100"):
                stored.read_into(95, memoryview(buffer))

    def test_the_first_to_keep_a_key_wins(self, backend: Backend) -> None:
        assert put_bytes(backend, KEY, b"first")
        assert not put_bytes(backend, KEY, b"second")
        assert read_all(backend, KEY) == b"first"

    def test_replace_replaces(self, backend: Backend) -> None:
        put_bytes(backend, KEY, b"first")
        draft = backend.draft()
        draft.write(b"second")
        draft.replace(KEY)
        assert read_all(backend, KEY) == b"second"

    def test_of_many_writers_of_one_key_exactly_one_creates_it(self, backend: Backend) -> None:
        outcomes: list[tuple[int, bool]] = []
        ready = threading.Barrier(8)

        def write(number: int) -> None:
            draft = backend.draft()
            draft.write(bytes([number]) * 1000)
            ready.wait()
            outcomes.append((number, draft.keep(KEY)))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [number for number, created in outcomes if created]
        assert len(outcomes) == 8
        assert len(winners) == 1
        assert read_all(backend, KEY) == bytes(winners) * 1000

    def test_a_draft_is_invisible_until_kept(self, backend: Backend) -> None:
        draft = backend.draft()
        draft.write(b"half")
        assert not backend.exists(KEY)
        assert [info.key for info in backend.list("raw/")] == []
        draft.write(memoryview(b" and half"))
        assert draft.size_bytes == 13
        draft.keep(KEY)
        assert read_all(backend, KEY) == b"half and half"

    def test_a_discarded_draft_leaves_nothing(self, backend: Backend) -> None:
        draft = backend.draft()
        draft.write(b"x" * 1000)
        draft.discard()
        draft.discard()
        assert not backend.exists(KEY)
        assert backend.sweep_drafts(0) == 0

    def test_a_sweep_spares_drafts_being_written(self, backend: Backend) -> None:
        draft = backend.draft()
        draft.write(b"alive")
        assert backend.sweep_drafts(0) == 0
        assert draft.keep(KEY)
        assert read_all(backend, KEY) == b"alive"

    def test_an_open_object_survives_its_deletion(self, backend: Backend) -> None:
        put_bytes(backend, KEY, b"pinned")
        with backend.open(KEY) as stored:
            assert backend.delete(KEY)
            assert stored.read_at(0, 10) == b"pinned"
        assert not backend.exists(KEY)

    def test_missing_objects_are_not_found(self, backend: Backend) -> None:
        with pytest.raises(ObjectNotFoundError):
            backend.open(KEY)
        with pytest.raises(ObjectNotFoundError):
            backend.info(KEY)
        assert not backend.exists(KEY)
        assert not backend.delete(KEY)
        assert not backend.touch(KEY)
        assert backend.local_path(KEY) is None

    def test_listing_gives_what_is_under_a_folder(self, backend: Backend) -> None:
        keys = {"raw/aa/1", "raw/bb/2", "rawest/3", "packs/4.pack"}
        for key in keys:
            put_bytes(backend, key, key.encode())
        listed = {info.key: info.size_bytes for info in backend.list("raw/")}
        assert listed == {"raw/aa/1": 8, "raw/bb/2": 8}
        assert list(backend.list("nothing/")) == []

    def test_a_deleted_key_can_be_put_again(self, backend: Backend) -> None:
        for content in (b"one", b"two"):
            put_bytes(backend, "staging/scope/name", content)
            assert read_all(backend, "staging/scope/name") == content
            assert backend.delete("staging/scope/name")

    def test_touch_moves_the_time_forward(self, backend: Backend) -> None:
        put_bytes(backend, KEY, b"x")
        before = backend.info(KEY).modified_s
        assert abs(before - time.time()) < 60
        time.sleep(0.05)
        assert backend.touch(KEY)
        assert backend.info(KEY).modified_s > before

    def test_a_local_path_holds_the_bytes(self, backend: Backend) -> None:
        put_bytes(backend, KEY, b"bytes")
        path = backend.local_path(KEY)
        assert path is None or path.read_bytes() == b"bytes"

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/etc/passwd",
            "../x",
            "raw/../x",
            "raw//x",
            "raw/",
            ".hidden",
            "a\0b",
            "ü",
            "x" * 600,
        ],
    )
    def test_keys_that_could_lead_elsewhere_are_refused(self, backend: Backend, key: str) -> None:
        with pytest.raises(RequestError):
            put_bytes(backend, key, b"x")
        with pytest.raises(RequestError):
            backend.exists(key)
