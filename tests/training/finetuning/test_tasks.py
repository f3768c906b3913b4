"""Every task: stopped and gone on with to the bit, loaded by stock loaders, better than chance."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.finetuning.subjects import SUBJECTS, Subject
from tests.training.finetuning.work import done, weights


@dataclass(frozen=True)
class Prepared:
    subject: Subject
    base: Path
    data: Path


@pytest.fixture(scope="module", params=SUBJECTS)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    torch.set_num_threads(1)
    subject, folder = SUBJECTS[request.param], tmp_path_factory.mktemp("subject")
    return Prepared(subject, subject.base(folder / "base"), subject.data(folder / subject.file))


def trained(one: Prepared, out: Path, *, stop_after: int | None = None, **more: Any) -> Any:
    recipe = {
        "task": one.subject.task,
        "method": one.subject.method,
        "steps": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "held_out": 0.05,
        **one.subject.short,
        **more,
    }
    return done(one.base, one.data, out, stop_after=stop_after, **recipe)


def test_a_task_goes_on_to_the_bit_and_its_output_loads(prepared: Prepared, tmp_path: Path) -> None:
    straight, _ = trained(prepared, tmp_path / "straight")
    trained(prepared, tmp_path / "cut", stop_after=2)
    again, _ = trained(prepared, tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(tmp_path / "straight")
    assert again["measured"] == straight["measured"]
    assert f"eval_{prepared.subject.metric}" in straight["measured"]
    prepared.subject.load(tmp_path / "cut", prepared.base)


@pytest.mark.slow
def test_a_task_is_learnt_and_what_loads_says_the_same(prepared: Prepared, tmp_path: Path) -> None:
    subject = prepared.subject
    results, told = trained(prepared, tmp_path / "out", **{"held_out": 0.2, **subject.learns})
    measured = results["measured"][f"eval_{subject.metric}"]
    assert (measured < subject.wanted) if subject.is_lower_better else (measured > subject.wanted)
    assert told[-1].loss < told[0].loss


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_bit(prepared: Prepared, tmp_path: Path) -> None:
    steps = {"steps": 6, "save_every": 2}
    trained(prepared, tmp_path / "straight", **steps)

    def kill(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    killed = in_a_process(lambda: trained(prepared, tmp_path / "cut", at=kill, **steps))
    assert killed == -signal.SIGKILL
    assert in_a_process(lambda: trained(prepared, tmp_path / "cut", **steps)) == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "straight")


def in_a_process(work: Callable[[], object]) -> int:
    """The exit code of a copy of this process that does the work."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
