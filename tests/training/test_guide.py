"""The programs of the guide run."""

import re
import sys
from pathlib import Path

import pytest

from cairn import training
from tests.architecture.checkout import ROOT
from tests.training.ranks.processes import in_launched_ranks


def programs_of(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_examples_of_the_guide_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = programs_of("docs/training.md")
    for program in programs:
        exec(compile(program, "docs/training.md", "exec"), {})
    assert training.steps("run") == [10, 20, 30]
    assert {50, 90, 100} <= set(training.steps("in-background"))
    exec(compile(programs[0], "docs/training.md", "exec"), {})  # goes on where there is no more
    assert training.steps("run") == [10, 20, 30]


def test_the_examples_of_other_libraries_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for program in programs_of("docs/training-loops.md"):
        exec(compile(program, "docs/training-loops.md", "exec"), {"__name__": "guide"})
    assert training.steps("trainer-run") == [3, 6, 9]
    assert training.steps("lightning-run") == [2, 4, 6, 8, 9]
    assert training.steps("accelerate-run") == list(range(1, 10))
    assert training.steps("agent") == [128]


def test_the_example_of_several_processes_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The program lies here, and in no repository that may change meanwhile.
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "train.py"), raising=False
    )
    page = "docs/training-ranks.md"
    program, dcp = programs_of(page)

    def run() -> None:
        exec(compile(program, page, "exec"), {"__name__": "guide"})

    in_launched_ranks(2, tmp_path / "first", run)
    assert training.steps("sharded-run") == [3, 6, 9, 12]
    in_launched_ranks(2, tmp_path / "second", run)  # there is no more to do
    assert training.steps("sharded-run") == [3, 6, 9, 12]
    exec(compile(dcp, page, "exec"), {"__name__": "guide"})
    assert (tmp_path / "for-others/.metadata").is_file()
