"""Reports are complete, stable, and say nothing to a terminal or a viewer that a file made up."""

import json

from cairn.domain import FileReport, Finding, Place, ScanReport, Verdict
from cairn.scanner import RULES
from cairn.scanner.reports import as_json, as_sarif

HOSTILE = "imports [click](http://evil) {0} \x1b[31m\u202e\ud800 x"
FINDING = Finding(
    "pickle-imports", Verdict.MALICIOUS, HOSTILE, Place(("data.pkl",), 12, "/a"), "Convert it"
)
REPORT = ScanReport(
    "v1",
    (
        FileReport("z ü/%.pt", 9, ("zip", "pickle"), (FINDING,)),
        FileReport("a.pkl", 5, ("pickle",), ()),
        FileReport("b", 1, (), (Finding("not-read", Verdict.UNREAD, "why", Place((), 3)),)),
    ),
)


def test_json_lists_files_by_path_with_verdicts_and_counts() -> None:
    told = as_json(REPORT)
    assert [file["path"] for file in told["files"]] == ["a.pkl", "b", "z ü/%.pt"]
    assert told["verdict"] == "malicious"
    assert told["counts"]["clean"] == 1 and sum(told["counts"].values()) == 3
    assert told["files"][2]["findings"][0]["place"] == {
        "members": ["data.pkl"],
        "offset": 12,
        "pointer": "/a",
    }


def test_json_does_not_depend_on_the_order_in_which_files_were_scanned() -> None:
    turned = ScanReport("v1", REPORT.files[::-1])
    assert json.dumps(as_json(turned)) == json.dumps(as_json(REPORT))


def test_sarif_has_what_the_schema_requires() -> None:
    log = as_sarif(REPORT, "1.0")
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] and [rule["id"] for rule in driver["rules"]] == [r.name for r in RULES]
    assert len(run["results"]) == 2
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]


def test_sarif_gives_offsets_only_in_the_file_itself() -> None:
    results = {one["ruleId"]: one for one in as_sarif(REPORT, "1.0")["runs"][0]["results"]}
    nested, plain = results["pickle-imports"], results["not-read"]
    assert "region" not in nested["locations"][0]["physicalLocation"]
    assert nested["locations"][0]["logicalLocations"] == [
        {"fullyQualifiedName": "data.pkl /a at byte 12"}
    ]
    assert plain["locations"][0]["physicalLocation"]["region"] == {"byteOffset": 3}


def test_sarif_makes_no_link_argument_or_control_of_what_a_file_says() -> None:
    results = as_sarif(REPORT, "1.0")["runs"][0]["results"]
    text = next(r for r in results if r["ruleId"] == "pickle-imports")["message"]["text"]
    assert text.isprintable()
    assert r"\[click\](http" in text and "{{0}}" in text


def test_sarif_names_files_by_valid_addresses() -> None:
    uris = [one["location"]["uri"] for one in as_sarif(REPORT, "1.0")["runs"][0]["artifacts"]]
    assert uris == ["a.pkl", "b", "z%20%C3%BC/%25.pt"]
