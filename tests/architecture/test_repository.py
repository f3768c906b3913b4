"""The repository works elsewhere: no path of the machine it was written on, nothing secret."""

import re
import subprocess

import pytest

from tests.architecture.checkout import ROOT, texts

MACHINE_PATH = re.compile(
    r"(?<![\w.\-/])/(?:work/\w|root/[.\w]|opt/(?:pypi|wheels)|(?:home|Users)/[a-z]\w*/)"
    r"|\.\./shared/"
)
# Tests may name such a path as something hostile, with this mark on the line.
MEANT = "not a path of this machine"
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhf_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bcairn_[A-Za-z0-9_-]{43}\b"
)
UNFINISHED_MERGE = re.compile(r"^(?:<{7} |>{7} )", re.MULTILINE)


def test_no_file_names_a_path_of_a_machine() -> None:
    named = [
        f"{name}:{number}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line) and MEANT not in line
    ]
    assert named == [], f"a path meant as an example: add the comment {MEANT!r}"


def test_no_file_holds_a_secret() -> None:
    assert [name for name, text in texts().items() if SECRET.search(text)] == []


def test_no_file_holds_an_unfinished_merge() -> None:
    assert [name for name, text in texts().items() if UNFINISHED_MERGE.search(text)] == []


def test_no_link_is_kept_in_the_repository() -> None:
    """A link leads to a place on the machine it was made on."""
    listed = subprocess.run(
        ["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("open('" + "/wo" + "rk/main/x')", True),
        ("see .." + "/shared/design.md", True),
        ("/ho" + "me/ann/models", True),
        ("https://example.org/wo" + "rk/main", False),
        ("src/ho" + "me/page.html", False),
    ],
)
def test_the_search_for_machine_paths_finds_them(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found
