"""The programs of the guide run."""

import re
from pathlib import Path

import pytest

from cairn import training
from tests.architecture.checkout import ROOT


def test_the_examples_of_the_guide_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/training.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for program in programs:
        exec(compile(program, "docs/training.md", "exec"), {})
    assert training.steps("run") == [10, 20, 30]
    assert {50, 90, 100} <= set(training.steps("in-background"))
    exec(compile(programs[0], "docs/training.md", "exec"), {})  # goes on where there is no more
    assert training.steps("run") == [10, 20, 30]
