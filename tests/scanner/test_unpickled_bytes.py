"""What a pickle hands to an unpickler is followed: as harmless as these bytes, never computed."""

import pickle
import struct

import pytest
import torch

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of
from tests.scanner.archive_assembly import torch_zip
from tests.scanner.pickle_assembly import SYSTEM, called, program, raw, text

LOAD = ("torch.storage", "_load_from_bytes")


def scanned(data: bytes, name: str = "model.pkl") -> FileReport:
    return report_of(name, len(data), gather(BytesSource(data, name)))


def long_text(value: bytes) -> bytes:
    """BINUNICODE of bytes as latin-1, as protocols before 3 have them."""
    encoded = value.decode("latin-1").encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


@pytest.mark.parametrize("protocol", range(6))
def test_tensors_in_plain_pickles_are_clean(protocol: int) -> None:
    tensors = {"small": torch.ones(2), "long": torch.arange(500.0), "number": torch.tensor(7)}
    assert scanned(pickle.dumps(tensors, protocol)).findings == ()


@pytest.mark.parametrize(
    "given",
    [
        raw(SYSTEM),
        raw(torch_zip(SYSTEM)),
        raw(SYSTEM + bytes(1000)),
        called("_codecs", "encode", long_text(torch_zip(SYSTEM)), text("latin1")),
        raw(program(called(*LOAD, raw(program(called(*LOAD, raw(SYSTEM))))))),
    ],
)
def test_an_attack_in_what_is_unpickled_is_one(given: bytes) -> None:
    assert scanned(program(called(*LOAD, given))).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    "given",
    [
        called("builtins", "bytes", raw(b"\x80\x02N.")),
        called("_codecs", "encode", text("abc"), text("rot13")),
        called("_codecs", "encode", text("abc"), text("latin1")) + b"}b",
        text("model.bin"),
        raw(b"\x80\x02N.") + raw(b"\x80\x02N."),
    ],
)
def test_what_is_computed_first_is_not_followed_and_malicious(given: bytes) -> None:
    found = scanned(program(called(*LOAD, given)))
    assert found.verdict is Verdict.MALICIOUS
    assert any("first computes" in finding.message for finding in found.findings)


def test_what_nobody_reads_is_unread_inside_as_well() -> None:
    assert scanned(program(called(*LOAD, raw(b"\x01\x02\x03")))).verdict is Verdict.UNREAD


def test_text_that_stands_for_no_bytes_is_malformed() -> None:
    given = called("_codecs", "encode", text("\u0394" * 5), text("latin1"))
    found = scanned(program(called(*LOAD, given)))
    assert found.verdict is Verdict.MALFORMED


def test_the_same_bytes_are_followed_once_however_often_they_are_handed_over() -> None:
    inner = pickle.dumps(list(range(1000)))
    once = raw(inner) + b"\x940"
    again = text(LOAD[0]) + text(LOAD[1]) + b"\x93\x940" + b"h\x01(h\x00tR0" * 5000 + b"N"
    evidence = gather(BytesSource(program(once + again), "model.pkl"))
    assert len(evidence) < 30
