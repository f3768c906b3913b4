"""Zip archives: whatever two places state must agree, and every trick is refused."""

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import BytesSource
from cairn.formats.zip_archive import ZipArchive
from tests.formats.making import archive, layout_of, pickled, saved


def opened(data: bytes) -> ZipArchive:
    return ZipArchive(BytesSource(data, "a.zip"))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, content in members:
            out.writestr(name, content)
    return buffer.getvalue()


GOOD = zipped(("a/data.pkl", b"N."), ("a/data/0", b"0123456789abcdef"))


def patched(data: bytes, offset: int, layout: str, value: int) -> bytes:
    raw = struct.pack(layout, value)
    return data[:offset] + raw + data[offset + len(raw) :]


def directory(data: bytes) -> int:
    return data.index(b"PK\x01\x02")


def refused(data: bytes, match: str = "") -> None:
    with pytest.raises(MalformedError, match=match):
        opened(data)


contents = st.dictionaries(
    st.text(
        st.characters(exclude_categories=("Cs",), exclude_characters="\0\\/:"),
        min_size=1,
        max_size=8,
    ).map(str.lower),
    st.binary(max_size=200),
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(contents, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_what_zipfile_writes_comes_back(members, method) -> None:
    try:
        found = opened(zipped(*members.items(), method=method))
    except MalformedError as error:
        assert "two members" in str(error)  # names that differ in case alone
        return
    for name, content in members.items():
        assert found.read(found.members[name], 1000) == (content, True)
    assert found.stray_bytes == 0


def test_what_torch_writes_comes_back() -> None:
    data = saved({"a": 1})
    found = opened(data)
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        for name in other.namelist():
            assert found.read(found.members[name], 10_000) == (other.read(name), True)


def test_members_written_as_a_stream_have_descriptors() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, raw) -> int:
            self.data += raw
            return len(raw)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as out:
        out.writestr("x", b"123")
        with out.open("big", "w", force_zip64=True) as member:
            member.write(b"456")
    found = opened(bytes(pipe.data))
    assert found.read(found.members["x"], 10) == (b"123", True)
    assert found.read(found.members["big"], 10) == (b"456", True)


def test_zip64_places_a_member_beyond_four_gigabytes() -> None:
    """A hand-made archive whose second member lies past 2**32, as sparse bytes."""
    gap = (1 << 32) + 100
    first = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 1, 20)
    first += b"a" + struct.pack("<2H2Q", 1, 16, gap, gap)
    second_at = len(first) + gap
    crc = zlib.crc32(b"hi")
    second = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, 2, 2, 1, 0) + b"bhi"
    start = second_at + len(second)
    wide = 0xFFFFFFFF
    record = struct.Struct("<4s6H3I5H2I")
    places = (wide, wide, 1, 20, 0, 0, 0, 0, 0), (2, 2, 1, 12, 0, 0, 0, 0, wide)
    records = record.pack(b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, *places[0])
    records += b"a" + struct.pack("<2H2Q", 1, 16, gap, gap)
    records += record.pack(b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, *places[1])
    records += b"b" + struct.pack("<2HQ", 1, 8, second_at)
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, len(records), start)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, start + len(records), 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, len(records), wide, 0)
    pieces = {0: first, second_at: second, start: records, start + len(records): end}

    class Sparse:
        name = "sparse"
        size_bytes = start + len(records) + len(end)

        def read_at(self, offset: int, length: int) -> bytes:
            stop = min(offset + length, self.size_bytes)
            data = bytearray(max(0, stop - offset))
            for at, piece in pieces.items():
                low, high = max(at, offset), min(at + len(piece), stop)
                if low < high:
                    data[low - offset : high - offset] = piece[low - at : high - at]
            return bytes(data)

    found = ZipArchive(Sparse())
    assert found.members["a"].size_bytes == gap
    assert found.read(found.members["b"], 10) == (b"hi", True)


@pytest.mark.parametrize("flag", [0x1, 0x20, 0x40, 0x2000])
def test_flags_that_change_the_meaning_are_refused(flag) -> None:
    """CVE-2025-1945: encryption, patch data, strong encryption, masked headers."""
    data = patched(GOOD, directory(GOOD) + 8, "<H", flag)
    refused(data, "flags")
    refused(patched(GOOD, 6, "<H", flag), "differs")


def test_a_local_name_that_differs_is_refused() -> None:
    """CVE-2025-1944."""
    refused(GOOD.replace(b"a/data.pkl", b"a/data.pkx", 1), "differs")


@pytest.mark.parametrize("offset", [8, 14, 18, 22, 26])
def test_local_fields_that_differ_are_refused(offset) -> None:
    refused(patched(GOOD, offset, "<H", 0x7777))


@pytest.mark.parametrize("offset", [10, 16, 20, 24, 28, 30, 32, 34, 42])
def test_directory_fields_that_differ_are_refused(offset) -> None:
    refused(patched(GOOD, directory(GOOD) + offset, "<H", 0x7777))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names_are_refused() -> None:
    refused(zipped(("a", b"1"), ("a", b"2")), "two members")
    refused(zipped(("a/data.pkl", b"1"), ("A/DATA.pkl", b"2")), "two members")


def test_two_records_of_one_member_are_refused() -> None:
    data = zipped(("a", b"1"), ("b", b"2"))
    second = data.index(b"PK\x01\x02", directory(data) + 1)
    renamed = patched(data, second + 42, "<I", 0)
    refused(renamed, "differs|overlaps")


def test_overlapping_members_are_refused() -> None:
    inner = zipped(("b", b"inner"))
    local = inner[: inner.index(b"PK\x01\x02")]
    data = zipped(("a", local), ("b", b"inner"))
    second = data.index(b"PK\x01\x02", directory(data) + 1)
    inside = data.index(local)
    refused(patched(data, second + 42, "<I", inside), "overlaps")


def test_a_prefix_a_comment_and_a_tail_are_refused() -> None:
    refused(b"x" + GOOD)
    refused(GOOD + b"x", "end of the file")
    commented = patched(GOOD, len(GOOD) - 2, "<H", 3) + b"abc"
    refused(commented, "end of the file")
    shifted = b"x" * 10 + zipped(("a", b"1"))
    at = shifted.index(b"PK\x01\x02")
    shifted = patched(shifted, at + 42, "<I", 10)
    shifted = patched(shifted, len(shifted) - 6, "<I", at)
    refused(shifted, "before the first")


def test_two_end_records_are_not_both_right() -> None:
    refused(GOOD + GOOD[-22:])
    refused(GOOD + zipped(("b", b"2")))


def test_a_lying_zip64_locator_is_refused() -> None:
    data = saved([1])
    at = data.rindex(b"PK\x06\x07")
    refused(patched(data, at + 8, "<Q", 0), "locator")
    refused(patched(data, at + 8, "<Q", 2**63), "locator")
    record = data.rindex(b"PK\x06\x06")
    refused(patched(data, record + 32, "<Q", 99), "inconsistent|disagree")
    refused(patched(data, record + 48, "<Q", 0), "disagree|ends at")


def test_unknown_compression_is_refused() -> None:
    refused(zipped(("a", b"1"), method=zipfile.ZIP_BZIP2), "method 12")


def test_inflating_is_bounded() -> None:
    data = zipped(("a/data.pkl", b"0" * 1_000_000), method=zipfile.ZIP_DEFLATED)
    found = opened(data)
    with pytest.raises(LimitError, match="100 times"):
        found.read(found.members["a/data.pkl"], 10_000_000)
    with pytest.raises(LimitError, match="at most 100 "):
        found.read(found.members["a/data.pkl"], 100)


def test_a_deflated_member_that_lies_about_its_size_is_refused() -> None:
    data = zipped(("a", b"hello world, hello world"), method=zipfile.ZIP_DEFLATED)
    local = patched(data, 22, "<I", 23)
    lying = patched(local, directory(data) + 24, "<I", 23)
    found = opened(lying)
    with pytest.raises(MalformedError, match="size declared"):
        found.read(found.members["a"], 100)


def test_a_compressed_pickle_is_read_and_compressed_tensors_are_not() -> None:
    data = zipped(("a/data.pkl", pickled({"n": 1})), method=zipfile.ZIP_DEFLATED)
    layout = layout_of(data)
    assert layout.metadata == {"n": 1}
    assert any("compressed" in note for note in layout.notes)
    data = zipped(("a/data.pkl", b"N."), ("a/data/0", b"0" * 50), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(MalformedError, match="is compressed"):
        layout_of(data)


def test_bytes_no_member_owns_are_noted() -> None:
    data = zipped(("a/data.pkl", b"N."), ("a/x", b"s" * 100))
    at, second = directory(data), data.index(b"PK\x01\x02", directory(data) + 1)
    hidden = data[:second] + data[-22:]
    hidden = patched(hidden, len(hidden) - 14, "<H", 1)
    hidden = patched(hidden, len(hidden) - 12, "<H", 1)
    hidden = patched(hidden, len(hidden) - 10, "<I", second - at)
    assert any("belong to none" in note for note in layout_of(hidden).notes)


def test_several_pickles_are_ambiguous() -> None:
    with pytest.raises(MalformedError, match="2 members named"):
        layout_of(zipped(("a/data.pkl", b"N."), ("b/data.pkl", b"N.")))


def test_a_pickle_deeper_than_the_top_folder_is_refused() -> None:
    with pytest.raises(MalformedError, match="folder at the top"):
        layout_of(zipped(("a/b/data.pkl", b"N.")))


def test_other_zips_are_not_torch_files() -> None:
    with pytest.raises(UntrustedDataError, match="not a torch checkpoint"):
        layout_of(zipped(("config.json", b"{}")))


def test_the_pickle_need_not_come_first() -> None:
    data = zipped(("a/version", b"3\n"), ("a/data.pkl", pickled({"n": 2})))
    assert layout_of(data).metadata == {"n": 2}


def test_too_many_members_are_refused_before_they_are_read() -> None:
    data = archive(b"N.")
    end = len(data) - 22
    with pytest.raises(MalformedError):
        opened(patched(patched(data, end + 8, "<H", 60_000), end + 10, "<H", 60_000))
    torch_made = saved([1])
    at = torch_made.rindex(b"PK\x06\x06")
    many = patched(patched(torch_made, at + 24, "<Q", 2**40), at + 32, "<Q", 2**40)
    end = len(many) - 22
    many = patched(patched(many, end + 8, "<H", 0xFFFF), end + 10, "<H", 0xFFFF)
    with pytest.raises(LimitError, match="members"):
        opened(many)
