"""Git's path patterns, compared with git itself, and the limits on hostile ones."""

import contextlib
import shutil
import subprocess
import time

import pytest

from cairn.errors import LimitError
from cairn.workflows.attributes import DEFAULT_GITATTRIBUTES, LargeFileRules, looks_binary
from cairn.workflows.patterns import Budget, IgnoreRules

PATHS = [
    "a",
    "a.log",
    "x/a.log",
    "x/y/a.log",
    "build/out.o",
    "src/build/out.o",
    "build",
    "docs/a/b/c.md",
    "docs/c.md",
    "keep.log",
    "x/keep.log",
    "a b.txt",
    "[x].txt",
    "x.txt",
    "data/raw/1.csv",
    "data/1.csv",
    "deep/one/two/three.txt",
    "one/two/three.txt",
    "#hash",
    "!bang",
    "a.LOG",
    ".env",
    "x/.env",
    "foo/bar",
    "foo/baz/bar",
    "abc",
    "abd",
    "aXc",
    "a/c",
]
RULES = [
    "*.log",
    "*.log\n!keep.log",
    "build/",
    "/build",
    "docs/**/c.md",
    "docs/**",
    "**/out.o",
    "x/",
    "x/\n!x/keep.log",
    "data/*/1.csv",
    "data/*.csv",
    "[x].txt",
    "\\[x\\].txt",
    "a?c",
    "a[b-d]c",
    "a[!b]c",
    "\\#hash",
    "\\!bang",
    "# comment\n\n*.txt",
    "one/**/three.txt",
    "**/two/*.txt",
    "/*\n!/docs",
    "foo/**/bar",
    "foo/*",
    "a b.txt",
    "*.LOG",
    ".env",
    "**",
    "a*c",
    "/**/bar",
    "*/",
    "[]x].txt",
    "[^a].txt",
    "a\\*",
    "*.[lL][oO][gG]",
    "[z-a]",
    "a[b",
    "x\\",
    "[[]x].txt",
    "*b*",
    "a*b*c",
    "[a-]bc",
    "[\\]x].txt",
    "*\\ b.txt",
    "a.log   ",
    "***/out.o",
    "d*s/**/*.md",
]


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")
@pytest.mark.parametrize("rules", RULES)
def test_the_same_files_are_ignored_as_by_git(tmp_path, rules):
    git = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.ignoreCase=false"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(rules + "\n")
    done = subprocess.run(
        [*git, "check-ignore", "--no-index", "--stdin"],
        cwd=tmp_path, input="\n".join(PATHS), capture_output=True, text=True, check=False,
    )  # fmt: skip
    by_git = {line.strip('"') for line in done.stdout.splitlines()}
    ours = IgnoreRules(rules, Budget())
    assert {path for path in PATHS if ours.ignores(path)} == by_git


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")
@pytest.mark.parametrize(
    "rules",
    [DEFAULT_GITATTRIBUTES, "*.bin filter=lfs\nx/*.bin -filter", "*.bin filter=lfs\n*.bin !filter",
     "x/** filter=lfs", "*.bin text filter=lfs diff=lfs", "a.bin filter=other", "/a.bin filter=lfs",
     "*.bin filter=lfs\n!*.bin -filter"],
)  # fmt: skip
def test_the_same_files_are_large_as_for_git(tmp_path, rules):
    paths = ["a.bin", "x/a.bin", "x/y/b.bin", "a.txt", "m.safetensors", "saved_model/a/b",
             "t.tar.gz", "events.out.tfevents.123", "a.tar.x", "x/c.pt"]  # fmt: skip
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitattributes").write_text(rules + "\n")
    done = subprocess.run(
        ["git", "check-attr", "filter", "--", *paths],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    by_git = {line.split(":")[0] for line in done.stdout.splitlines() if line.endswith(" lfs")}
    ours = LargeFileRules(rules, Budget())
    assert {path for path in paths if ours.names(path)} == by_git


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("*a" * 120 + "b", "a" * 4000),
        ("?*" * 120 + "b", "a" * 4000),
        ("**/" * 300 + "b", "a/" * 2000 + "c"),
        ("[a-z]*" * 100 + "0", "a" * 4000),
        ("a/**/" * 200 + "b", "a/" * 2000 + "c"),
        ("[" * 1000, "a" * 4000),
    ],
)
def test_a_hostile_pattern_takes_no_time(rule, path):
    started = time.process_time()
    with contextlib.suppress(LimitError):
        IgnoreRules(rule, Budget()).ignores(path)
    assert time.process_time() - started < 3


def test_many_patterns_for_many_paths_run_out_of_budget():
    rules = IgnoreRules("\n".join(f"a{n}" for n in range(5000)), Budget(1000))
    with pytest.raises(LimitError):
        rules.ignores("b")


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b"", False),
        (b"text", False),
        ("ü".encode() * 9, False),
        ("ü".encode()[:1], False),
        ("x日".encode()[:-1], False),
        (b"a\0b", True),
        (b"\xff\xfea", True),
        (b"\x80\x80\x80\x80", True),
        (b"caf\xe9 au lait", True),
    ],
)
def test_text_and_binary_are_told_apart(data, binary):
    assert looks_binary(data) is binary
