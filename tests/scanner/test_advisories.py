"""Advisories: which loaders a file concerns, which releases are good, which files are bad."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import AffectedRange, Digest, KnownFile, Verdict
from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.scanner import EXTRACTORS, advisories, gather, report_of
from cairn.scanner.advisories import (
    AdvisoryData,
    AdvisoryShelf,
    advisories_in,
    known_files_csv,
    loaders,
    parse_known_files,
)
from cairn.scanner.advisories.releases import is_affected, release_order
from cairn.scanner.evidence.kinds import kinds

TORCH = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n."  # written by hand, never unpickled
HEX = "ab" * 32


def record(**changes: object) -> dict:
    made = {
        "id": "X-1",
        "modified": "2026-01-01T00:00:00Z",
        "summary": "something",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "torch"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.6.0"}]}
                ],
            }
        ],
    }
    return {**made, **changes}


def floor(*records: dict) -> str:
    advisories = tuple(one for told in records for one in advisories_in(told))
    return str(AdvisoryData(advisories).floors["torch"])


def events(*pairs: tuple[str, str]) -> dict:
    listed = [{name: release} for name, release in pairs]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "torch"},
        "ranges": [{"type": "ECOSYSTEM", "events": listed}],
    }
    return record(affected=[affected])


def test_what_comes_with_cairn_is_read_whole_and_says_which_releases_are_good() -> None:
    data = AdvisoryShelf().current()
    folder = Path(advisories.__file__).parent / "records"
    assert {one.id for one in data.advisories} == {path.stem for path in folder.iterdir()}
    assert all(one.summary and one.source.startswith("https://") for one in data.advisories)
    assert {name: str(one) for name, one in data.floors.items()} == {
        "torch": "torch >= 2.10.0",
        "CPython": "CPython >= 3.14.7, or 3.13.15 of its series",
        "keras": "keras >= 3.13.2, or 3.12.1 of its series",
        "onnx": "onnx >= 1.21.0",
        "llama.cpp": "llama.cpp >= b8146",
    }


def test_the_table_of_loaders_names_only_forms_and_kinds_there_are() -> None:
    forms = {extractor.name for extractor in EXTRACTORS}
    for loader in loaders():
        assert loader.forms <= forms and loader.kinds <= set(kinds()), loader.name


def test_a_torch_pickle_is_safe_only_with_some_releases_and_stays_as_clean_as_it_was() -> None:
    evidence = gather(BytesSource(TORCH, "x.pt"))
    report = report_of("x.pt", len(TORCH), evidence, AdvisoryShelf().current())
    assert [one.loader for one in report.loaders] == ["torch", "CPython"]
    assert report.loaders[0].advisories == ("GHSA-53q9-r3pm-6pq6", "GHSA-63cw-57p8-fm3p")
    assert report.verdict is report_of("x.pt", len(TORCH), evidence).verdict is Verdict.CLEAN


def test_a_file_known_to_be_bad_is_malicious_whatever_it_holds() -> None:
    known = KnownFile(Digest.sha256(HEX), "steals tokens", "https://example.org/1")
    data = AdvisoryData((), {known.digest: known})
    report = report_of("a.txt", 0, (), data, known.digest)
    assert report.verdict is Verdict.MALICIOUS
    assert "steals tokens" in report.findings[0].message
    assert report_of("a.txt", 0, (), data, Digest.sha256("cd" * 32)).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([("introduced", "0"), ("fixed", "2.6.0")], "torch >= 2.6.0"),
        (
            [("introduced", "1"), ("fixed", "1.9"), ("introduced", "2.0"), ("fixed", "2.3")],
            "torch >= 2.3, or 1.9 of its series",
        ),
        ([("introduced", "0"), ("last_affected", "2.4")], "torch later than 2.4"),
        ([("introduced", "0")], "no release of torch that is known"),
    ],
)
def test_good_releases_follow_from_when_a_flaw_came_and_went(told: list, words: str) -> None:
    assert floor(events(*told)) == words


def test_the_good_releases_have_none_of_several_flaws() -> None:
    first = events(("introduced", "0"), ("fixed", "2.6.0"))
    second = events(("introduced", "2.5"), ("fixed", "2.10.0"))
    assert floor(first, {**second, "id": "X-2"}) == "torch >= 2.10.0"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("2.9", "2.10"), ("b999", "b8146"), ("3.13.15", "3.14"), ("1.0", "1.0.1"), ("0", "0.1")],
)
def test_releases_are_ordered_by_their_numbers(earlier: str, later: str) -> None:
    assert release_order(earlier) < release_order(later)
    assert release_order("2.6") == release_order("2.6.0") == release_order("2.6.0rc1")
    assert is_affected(earlier, AffectedRange("0", later))
    assert not is_affected(later, AffectedRange("0", later))
    assert is_affected(later, AffectedRange("0", last_affected=later))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        record(id="../../x"),
        record(withdrawn="2026-01-02T00:00:00Z"),
        record(affected="all"),
        record(affected=[{"package": "torch"}, {"package": {"ecosystem": "npm", "name": "torch"}}]),
        record(affected=[{"package": {"ecosystem": "PyPI", "name": "requests"}, "ranges": []}]),
        record(affected=[{"package": {"ecosystem": "PyPI", "name": "torch"}, "ranges": [7]}]),
    ],
)
def test_records_about_nothing_here_or_without_sense_say_nothing(told: object) -> None:
    assert advisories_in(told) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "affected", "package", "ranges", "events", "type", "fixed"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


# A busy machine makes values slowly; that says nothing about reading them.
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON)
def test_no_record_makes_reading_fail(value: object, affected: object) -> None:
    advisories_in(value)
    advisories_in(record(affected=affected))
    advisories_in(record(affected=[affected]))


def test_names_of_packages_are_compared_as_pip_does() -> None:
    named = record(affected=[{**record()["affected"][0]}])
    named["affected"][0]["package"] = {"ecosystem": "PyPI", "name": "Scikit_Learn"}
    assert [one.loader for one in advisories_in(named)] == ["scikit-learn"]


def test_a_list_of_known_files_is_the_same_in_either_form() -> None:
    text = f'sha256,reason,source,size_bytes\n{HEX.upper()},"a, b",me,12\n{"cd" * 32},c,me,\n'
    known = parse_known_files(text.encode(), "list.csv")
    assert [(one.digest.hex, one.reason, one.size_bytes) for one in known] == [
        (HEX, "a, b", 12),
        ("cd" * 32, "c", None),
    ]
    as_objects = [
        {"sha256": HEX, "reason": "a, b", "source": "me", "size_bytes": 12},
        {"sha256": "cd" * 32, "reason": "c", "source": "me"},
    ]
    assert parse_known_files(json.dumps(as_objects).encode(), "list.json") == known
    assert parse_known_files(known_files_csv(known), "again") == known


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"digest,why\n1,2\n",
        b"[1]",
        b"[{",
        f"sha256,reason,source\n{HEX[1:]},r,s\n".encode(),
        f"sha256,reason,source\n{HEX},,s\n".encode(),
        f"sha256,reason,source,size_bytes\n{HEX},r,s,many\n".encode(),
    ],
)
def test_a_damaged_list_is_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_known_files(content, "list")


def test_a_shelf_is_read_again_when_its_folder_changes(tmp_path: Path) -> None:
    shelf = AdvisoryShelf(tmp_path / "advisories")
    before = shelf.current()
    assert before is shelf.current() and before.known_version == ""
    known = KnownFile(Digest.sha256(HEX), "bad", "me", 3)
    shelf.keep([record(id="X-9")], [known])
    after = AdvisoryShelf(tmp_path / "advisories").current()
    assert shelf.current().version == after.version != before.version
    assert after.known(known.digest) == known
    assert after.may_be_known(3) and not after.may_be_known(4)
    assert {one.id for one in after.advisories} == {"X-9", *(o.id for o in before.advisories)}
