"""Sources: exact reads from files, memory and windows."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import EntryNotFoundError, MalformedError, RequestError
from cairn.formats import BytesSource, FileSource, WindowSource

DATA = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "x.bin"
    file.write_bytes(DATA)
    return file


def test_a_file_reads_like_its_bytes(path) -> None:
    with FileSource(path) as source:
        assert source.size_bytes == len(DATA)
        assert source.name == str(path)
        for offset, length in ((0, 10), (5, 0), (len(DATA) - 3, 10), (len(DATA), 5), (10**9, 5)):
            assert source.read_at(offset, length) == DATA[offset : offset + length]


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 400), st.integers(0, 400))
def test_a_window_reads_like_a_slice(start, length, offset, count) -> None:
    window = WindowSource(BytesSource(DATA[:600], "w"), start, start + length)
    assert window.size_bytes == length
    assert window.read_at(offset, count) == DATA[start : start + length][offset : offset + count]


def test_a_window_stays_inside_its_source() -> None:
    for start, stop in ((-1, 3), (3, 2), (0, 11)):
        with pytest.raises(MalformedError):
            WindowSource(BytesSource(b"0123456789"), start, stop)


def test_threads_share_a_file(path) -> None:
    wrong = []
    with FileSource(path) as source:

        def read() -> None:
            for at in range(0, len(DATA) - 16, 7):
                if source.read_at(at, 16) != DATA[at : at + 16]:
                    wrong.append(at)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, "/dev/zero"):
        with pytest.raises(RequestError, match="not a regular file"):
            FileSource(path)
    with pytest.raises(EntryNotFoundError):
        FileSource(tmp_path / "missing")
    with pytest.raises(RequestError):
        FileSource("nul\0byte")


def test_a_file_that_shrinks_is_noticed(path) -> None:
    with FileSource(path) as source:
        os.truncate(path, 100)
        with pytest.raises(MalformedError, match="shrank"):
            source.read_at(50, 100)
