"""Every known attack on unpicklers gets the verdict it must get, and controls are clean."""

from pathlib import Path

import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource, FileSource
from cairn.scanner import gather, report_of
from tests.scanner import archive_cases, pickle_cases
from tests.scanner.pickle_assembly import SYSTEM, called, named, program, text
from tests.scanner.pickle_cases import Case

CASES = [*pickle_cases.CASES, *archive_cases.CASES]


def scanned(name: str, data: bytes) -> FileReport:
    return report_of(name, len(data), gather(BytesSource(data, name)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_known_attack_gets_its_verdict(case: Case) -> None:
    reports = [scanned(name, data) for name, data in case.files.items()]
    wrong = [report for report in reports if report.verdict is not case.verdict]
    assert wrong == [], case.what


def test_a_function_of_a_framework_is_worse_called_than_named() -> None:
    named_only = scanned("named", program(named("numpy", "savez")))
    assert named_only.verdict is Verdict.SUSPICIOUS
    assert scanned("called", program(called("numpy", "savez"))).verdict is Verdict.MALICIOUS


def test_a_class_that_nobody_knows_is_suspicious_called_or_not() -> None:
    for data in (program(named("acme.models", "Net")), program(called("acme.models", "Net"))):
        assert scanned("file", data).verdict is Verdict.SUSPICIOUS


def test_classes_in_classes_are_not_walks_through_attributes() -> None:
    assert scanned("f", program(named("acme", "Net.Block"))).verdict is Verdict.SUSPICIOUS
    assert scanned("f", program(named("acme", "Net.load"))).verdict is Verdict.MALICIOUS


def test_names_are_compared_whole() -> None:
    assert scanned("file", program(named("collections", "OrderedDict"))).verdict is Verdict.CLEAN
    for module, name in [("collections.abc", "OrderedDict"), ("collections", "ordereddict")]:
        assert scanned("file", program(named(module, name))).verdict is Verdict.SUSPICIOUS


def test_text_that_is_base64_of_something_else_is_clean() -> None:
    data = program(text("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=") + text("deadbeef" * 8) + b"\x86")
    assert scanned("file", data).verdict is Verdict.CLEAN


def test_what_a_carried_pickle_calls_is_named() -> None:
    (finding,) = scanned("file", program(text(SYSTEM.hex()))).findings
    assert finding.message == "holds as hex a pickle that calls os.system"


def test_a_shared_list_that_is_not_endless_is_clean() -> None:
    shared = b"]\x94(" + b"K\x01" * 50 + b"e0"
    assert scanned("file", b"\x80\x04" + shared + b"](" + b"h\x00" * 1000 + b"e.").findings == ()


def test_an_end_of_archive_that_stands_first_is_read_within_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"\xfe" + b"PK\x05\x06" + bytes(18))
    with FileSource(path) as source:  # refuses offsets before its first byte
        assert report_of("file.bin", 23, gather(source)).verdict is Verdict.UNREAD
