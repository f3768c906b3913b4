"""The audit of dependencies: made records about what is really installed, ranges as OSV says."""

import json
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts.audit_dependencies import closure, is_affected, main

INSTALLED = version("starlette")


def osv(name: str = "Starlette", ecosystem: str = "PyPI", **affected: object) -> dict:
    package = {"name": name, "ecosystem": ecosystem}
    return {
        "id": "GHSA-made-for-test",
        "summary": "made for a test",
        "affected": [{"package": package, **affected}],
    }


def since(*events: dict[str, str]) -> dict:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


EVERY_VERSION = since({"introduced": "0"})


def export(folder: Path, *records: object) -> Path:
    for number, record in enumerate(records):
        (folder / f"{number}.json").write_text(json.dumps(record))
    return folder


def test_what_is_needed_is_followed_and_nothing_else() -> None:
    found = closure()
    assert found["starlette"] == INSTALLED
    assert "h11" in found or "httptools" in found, "what uvicorn needs"
    assert "pytest" not in found
    assert "pytest" in closure(["dev"])


@pytest.mark.parametrize("zipped", [False, True])
def test_a_record_about_an_installed_version_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zipped: bool
) -> None:
    where = export(tmp_path, osv(**EVERY_VERSION))
    if zipped:
        where = tmp_path / "all.zip"
        with zipfile.ZipFile(where, "w") as archive:
            archive.write(tmp_path / "0.json", "0.json")
    assert main([str(where)]) == 1
    assert f"starlette {INSTALLED}: GHSA-made-for-test" in capsys.readouterr().out
    assert main([str(where), "--accept", "GHSA-made-for-test"]) == 0


@pytest.mark.parametrize(
    "record",
    [
        osv("pytest", **EVERY_VERSION),
        osv("starlette", "npm", **EVERY_VERSION),
        osv("starlettes", **EVERY_VERSION),
        osv(versions=["0.0.1"]),
        osv(**since({"introduced": "0"}, {"fixed": INSTALLED})),
        {**osv(**EVERY_VERSION), "withdrawn": "2026-01-01T00:00:00Z"},
        osv(ranges=[{"type": "GIT", "repo": "https://r", "events": [{"introduced": "0"}]}]),
    ],
)
def test_records_about_something_else_are_not_told(tmp_path: Path, record: dict) -> None:
    assert main([str(export(tmp_path, record))]) == 0


@pytest.mark.parametrize(
    ("events", "version", "affected"),
    [
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "0.9", False),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "1.0", True),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "1.4.9", True),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "1.5", False),
        ([{"fixed": "1.10"}, {"introduced": "1.9"}], "1.9.2", True),
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0", True),
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0.1", False),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "1.5", False),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "2.5", True),
        ([{"introduced": "0"}, {"fixed": "1.0rc1"}], "1.0b2", True),
        ([{"introduced": "0"}, {"fixed": "what is this"}], "1.0", True),
    ],
)
def test_ranges_are_read_as_the_schema_says(events: list, version: str, affected: bool) -> None:
    assert is_affected(since(*events), version) is affected


@pytest.mark.parametrize("text", ["", "[]", '{"no": "id"}', None])
def test_an_export_that_cannot_be_used_is_not_taken_for_a_clean_one(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "missing.zip")]) == 2
