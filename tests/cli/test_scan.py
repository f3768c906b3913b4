"""`cairn scan`: every file has a verdict, the exit code tells, and nothing acts on the terminal."""

import json
import os
import pickle
from pathlib import Path

import pytest

from cairn.scanner import RULES
from tests.cli.command import cairn

# Opcodes written by hand: nothing here is ever unpickled.
SYSTEM = b"cos\nsystem\n(S'true'\ntR."
CLEAN = pickle.dumps({"epoch": 3}, protocol=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.pkl").write_bytes(CLEAN)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "bad\x1b[2J.pkl").write_bytes(SYSTEM)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / ".cache")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_a_clean_file_ends_with_0(tmp_path: Path) -> None:
    (tmp_path / "good.pkl").write_bytes(CLEAN)
    assert cairn("scan", str(tmp_path / "good.pkl")).stdout.splitlines() == [
        "clean      good.pkl (pickle protocol 4)",
        "1 file: 1 clean",
        "safe to load only with CPython >= 3.14.7, or 3.13.15 of its series (1 of the files)",
    ]


def test_every_entry_of_a_folder_has_a_verdict(folder: Path) -> None:
    told = json.loads(cairn("scan", str(folder), "--json", expect=1).stdout)
    verdicts = {file["path"]: file["verdict"] for file in told["files"]}
    assert verdicts.pop(".cache/bad\x1b[2J.pkl") in ("suspicious", "malicious")
    assert verdicts == {
        "good.pkl": "clean",
        "dangling": "unread",
        "linked": "unread",
        "pipe": "unread",
    }


def test_text_says_why_where_by_which_rule_and_what_to_do(folder: Path) -> None:
    told = cairn("scan", str(folder), expect=1).stdout
    assert "\x1b" not in told and r".cache/bad\x1b[2J.pkl" in told
    assert "imports os.system, which is of the standard library" in told
    assert "— at byte 0 [pickle-imports]" in told
    assert "cairn convert" in told


@pytest.mark.parametrize("form", ["--json", "--sarif"])
def test_reports_for_machines_are_ascii(folder: Path, form: str) -> None:
    told = cairn("scan", str(folder), form, expect=1).stdout
    assert told.isascii() and "\x1b" not in told
    assert str(folder) not in told


def test_the_level_says_what_fails(tmp_path: Path) -> None:
    (tmp_path / "what").write_bytes(b"\x00\x01\x02 nobody reads this")
    cairn("scan", str(tmp_path), expect=1)
    cairn("scan", str(tmp_path), "--fail-on", "suspicious")


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert cairn("scan", str(tmp_path)).stdout == "there is no file to scan\n"


def test_what_is_not_there_is_not_clean(tmp_path: Path) -> None:
    assert "no such file" in cairn("scan", str(tmp_path / "nothing"), expect=3).stderr


def test_rules_are_listed_and_explained() -> None:
    assert all(rule.name in cairn("rules").stdout for rule in RULES)
    assert "A pickle is a program" in cairn("rules", "pickle-imports").stdout
    assert "no rule named 'pickles'" in cairn("rules", "pickles", expect=3).stderr
