"""What every reader must do; subclass `ReaderConformance`, give it the reader and real files.

class TestMine(ReaderConformance):
    reader = MyReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {"plain": ...}  # a few KB each, made by the format's own writer
"""
# ruff: noqa: D102, S311 - the names of tests are sentences; chance is seeded on purpose

import random
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import Layout, Source
from cairn.errors import UntrustedDataError
from cairn.formats import BytesSource, Reader, find_reader, read_layout
from cairn.formats.limits import HEAD_BYTES
from cairn.plugins import Registry

_FLIPS = (0xFF, 0x01, 0x80, 0x20)
_DENSE_BYTES = 6000  # every byte of a sample up to here is flipped, beyond only some
_RANDOM_ROUNDS = 300
_MAX_PEAK_BYTES = 8 << 20  # above what the sample itself takes


class CountingSource:
    """Remembers every read of another source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.reads: list[tuple[int, int]] = []

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def size_bytes(self) -> int:
        return self._source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        data = self._source.read_at(offset, length)
        self.reads.append((offset, offset + len(data)))
        return data

    @property
    def bytes_read(self) -> int:
        """Bytes handed out, counting repeats."""
        return sum(stop - start for start, stop in self.reads)


def outcome(data: bytes, reader: Reader) -> Layout | UntrustedDataError:
    """What reading gives; any other error than `UntrustedDataError` passes through and fails."""
    try:
        return read_layout(BytesSource(data, "sample"), Registry("reader", [reader]))
    except UntrustedDataError as error:
        return error


Edit = tuple[str, float, int, int]
"""What to do, where (a fraction of the file), over how many bytes, and a number to do it with."""

_WIDTHS = (1, 2, 4, 8)
# The numbers at which lengths, counts and offsets overflow, wrap around or turn negative.
_EXTREMES = st.sampled_from(
    [
        *(0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, (1 << 31) - 1, 1 << 31, (1 << 32) - 1),
        *(1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8),
    ]
)
_EDITS = st.lists(
    st.tuples(
        st.sampled_from(("number", "remove", "repeat", "move")),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(_WIDTHS) | st.integers(1, 300),
        _EXTREMES | st.integers(0, (1 << 64) - 1),
    ),
    min_size=1,
    max_size=4,
)


class ReaderConformance:
    """Valid files, damaged files, files that are something else; work and memory."""

    reader: Reader
    read_ahead_bytes = 0
    """How much of a tensor may be read along, in formats whose headers stand between tensors."""

    @classmethod
    def make(cls) -> Mapping[str, bytes]:
        """Some valid files, by label."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls) -> Mapping[str, bytes]:
        return cls.make()

    def test_its_name_is_the_format_of_its_layouts(self, samples: Mapping[str, bytes]) -> None:
        for label, data in samples.items():
            layout = outcome(data, self.reader)
            assert isinstance(layout, Layout), f"{label}: {layout}"
            assert layout.format == self.reader.name
            assert layout.size_bytes == len(data)

    def test_reading_twice_gives_equal_layouts(self, samples: Mapping[str, bytes]) -> None:
        for data in samples.values():
            assert outcome(data, self.reader) == outcome(data, self.reader)

    def test_it_is_picked_among_the_built_in_readers(self, samples: Mapping[str, bytes]) -> None:
        for data in samples.values():
            assert find_reader(BytesSource(data)).name == self.reader.name

    def test_the_name_of_the_source_is_no_evidence(self, samples: Mapping[str, bytes]) -> None:
        for data in samples.values():
            for name in ("", "model.safetensors", "model.bin", "x.pt"):
                assert self.reader.recognises(data[:HEAD_BYTES], BytesSource(data, name))

    def test_a_file_cut_short_at_any_length_is_refused(self, samples: Mapping[str, bytes]) -> None:
        for label, data in samples.items():
            for length in range(len(data)):
                found = outcome(data[:length], self.reader)
                assert isinstance(found, UntrustedDataError), f"{label} cut to {length} bytes"

    def test_appended_bytes_are_refused(self, samples: Mapping[str, bytes]) -> None:
        for label, data in samples.items():
            for tail in (b"\0", b"x" * 7, data, b"\0" * 100_000):
                found = outcome(data + tail, self.reader)
                assert isinstance(found, UntrustedDataError), f"{label} and {len(tail)} bytes"

    def test_prepended_bytes_are_refused(self, samples: Mapping[str, bytes]) -> None:
        for label, data in samples.items():
            found = outcome(b"#!/bin/sh\n" + data, self.reader)
            assert isinstance(found, UntrustedDataError), label

    def test_flipped_bytes_raise_nothing_else(self, samples: Mapping[str, bytes]) -> None:
        for data in samples.values():
            rng = random.Random(7)
            beyond = range(_DENSE_BYTES, len(data))
            places = [
                *range(min(len(data), _DENSE_BYTES)),
                *rng.sample(beyond, min(200, len(beyond))),
            ]
            for at in places:
                damaged = bytearray(data)
                damaged[at] ^= rng.choice(_FLIPS)
                found = outcome(bytes(damaged), self.reader)
                if isinstance(found, Layout):
                    assert found.size_bytes == len(data)

    def test_bytes_moved_about_raise_nothing_else(self, samples: Mapping[str, bytes]) -> None:
        rng = random.Random(11)
        for data in samples.values():
            for _ in range(_RANDOM_ROUNDS):
                outcome(_mangled(data, rng), self.reader)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(choice=st.integers(0, 1 << 16), edits=_EDITS)
    def test_edited_structures_raise_nothing_else(
        self, samples: Mapping[str, bytes], choice: int, edits: "list[Edit]"
    ) -> None:
        """Numbers replaced by extreme ones, runs moved, repeated and taken out, several at once."""
        data = list(samples.values())[choice % len(samples)]
        found = outcome(_edited(data, edits), self.reader)
        assert isinstance(found, (Layout, UntrustedDataError))

    def test_random_bytes_are_refused(self) -> None:
        rng = random.Random(13)
        for _ in range(_RANDOM_ROUNDS):
            data = rng.randbytes(rng.randrange(200))
            assert isinstance(outcome(data, self.reader), UntrustedDataError)

    def test_no_tensor_is_read(self, samples: Mapping[str, bytes]) -> None:
        """Beyond the first page, which every file is recognised by, only headers are read."""
        for label, data in samples.items():
            source = CountingSource(BytesSource(data, label))
            layout = read_layout(source, Registry("reader", [self.reader]))
            for storage in layout.storages:
                for start, stop in source.reads:
                    inside = min(stop, storage.span.stop) - max(start, storage.span.start)
                    assert inside <= self.read_ahead_bytes or stop <= HEAD_BYTES, (
                        *(label, start, stop, storage.span),
                    )

    def test_reads_are_few(self, samples: Mapping[str, bytes]) -> None:
        for label, data in samples.items():
            source = CountingSource(BytesSource(data, label))
            layout = read_layout(source, Registry("reader", [self.reader]))
            assert len(source.reads) <= 24 + 2 * len(layout.storages), label

    def test_memory_stays_bounded_on_damaged_files(self, samples: Mapping[str, bytes]) -> None:
        for data in samples.values():
            for at in range(0, min(len(data), _DENSE_BYTES), 17):
                damaged = bytearray(data)
                damaged[at] ^= 0xFF
                tracemalloc.start()
                with suppress(UntrustedDataError):
                    read_layout(BytesSource(bytes(damaged)), Registry("reader", [self.reader]))
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < _MAX_PEAK_BYTES + len(data)


def _edited(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after all edits, one after the other; see `Edit`."""
    for kind, place, length, number in edits:
        at = int(place * len(data))
        run = data[at : at + length]
        match kind:
            case "number":
                width = max((w for w in _WIDTHS if w <= length), default=1)
                digits = (number & ((1 << (8 * width)) - 1)).to_bytes(width, "little")
                data = data[:at] + digits + data[at + width :]
            case "remove":
                data = data[:at] + data[at + length :]
            case "repeat":
                data = data[: at + length] + run * (1 + number % 3) + data[at + length :]
            case _:
                rest = data[:at] + data[at + length :]
                to = number % (len(rest) + 1)
                data = rest[:to] + run + rest[to:]
    return data


def _mangled(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a run removed, repeated, zeroed, replaced or swapped."""
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice((1, 2, 4, 8, 16, 64)))
    run = data[first:last]
    match rng.randrange(5):
        case 0:
            return data[:first] + data[last:]
        case 1:
            return data[:last] + run + data[last:]
        case 2:
            return data[:first] + bytes(len(run)) + data[last:]
        case 3:
            return data[:first] + rng.randbytes(len(run)) + data[last:]
        case _:
            return data[:first] + run[::-1] + data[last:]
