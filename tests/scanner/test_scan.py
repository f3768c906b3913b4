"""Evidence is gathered and judged; what nobody reads, or breaks off, is never clean."""

import pickle

import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource
from cairn.scanner import RULES, gather, report_of, rules_version

# Opcodes written by hand: nothing here is ever unpickled.
SYSTEM = b"cos\nsystem\n(S'true'\ntR."


def scanned(data: bytes) -> FileReport:
    return report_of("file", len(data), gather(BytesSource(data)))


def test_a_pickle_of_plain_values_is_clean() -> None:
    report = scanned(pickle.dumps({"epoch": 3, "loss": 0.5, "names": ["a", "b"]}, protocol=4))
    assert report.verdict is Verdict.CLEAN
    assert report.forms == ("pickle", "pickle protocol 4")


@pytest.mark.parametrize("payload", [SYSTEM, b"\x80\x02" + SYSTEM, b"N." + b"\0" * 64 + SYSTEM])
def test_an_import_that_no_checkpoint_needs_is_found_with_its_place(payload: bytes) -> None:
    imported, called = scanned(payload).findings
    assert imported.rule == "pickle-imports"
    assert imported.message.startswith("imports os.system, which ")
    assert imported.place.offset == payload.index(b"cos")
    assert called.rule == "pickle-calls"
    assert called.place.offset == payload.index(b"R.")


def test_what_a_pickle_does_before_it_breaks_off_is_judged() -> None:
    report = scanned(b"\x80\x02" + SYSTEM[:-1] + b"\xff")
    assert report.verdict.rank >= Verdict.SUSPICIOUS.rank


def test_what_follows_the_last_pickle_is_not_clean() -> None:
    report = scanned(pickle.dumps([1], protocol=2) + b"more")
    assert report.verdict is Verdict.UNREAD


def test_content_that_nobody_reads_is_not_clean() -> None:
    assert scanned(b"\x00\x01\x02 something else").verdict is Verdict.UNREAD


def test_prose_is_not_taken_for_a_pickle() -> None:
    report = scanned(b"config\nvalue\n(that is all\n")
    assert "pickle" not in report.forms


def test_verdicts_are_ordered_from_clean_to_malicious() -> None:
    assert Verdict.worst([Verdict.UNREAD, Verdict.SUSPICIOUS]) is Verdict.SUSPICIOUS
    assert Verdict.worst([]) is Verdict.CLEAN
    assert [v.value for v in sorted(Verdict, key=lambda v: v.rank)] == [
        "clean",
        "unread",
        "malformed",
        "suspicious",
        "malicious",
    ]


def test_the_version_of_the_rules_names_each_rule() -> None:
    assert rules_version() != rules_version(type(RULES)("rule", list(RULES)[1:]))


def test_every_rule_has_a_page() -> None:
    assert [rule.name for rule in RULES if len((rule.__doc__ or "").split()) < 20] == []
