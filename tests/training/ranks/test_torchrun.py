"""The program of the guide under torchrun: a rank is killed, the same command goes on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from cairn import training
from tests.architecture.checkout import ROOT

pytestmark = pytest.mark.slow

DIES = """step += 1
            if step == int(os.environ.get("DIES_AT", "0")) and rank == 1:
                run.wait()
                os.kill(os.getpid(), 9)"""


def launched(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    command = (*command, "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "train.py")
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def written(folder: Path) -> None:
    text = (ROOT / "docs/training-ranks.md").read_text()
    program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert "step += 1" in program
    folder.mkdir()
    (folder / "train.py").write_text("import os\n" + program.replace("step += 1", DIES))


def test_a_killed_rank_costs_nothing_but_time(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    written(whole)
    written(broken)
    straight = launched(whole)
    assert straight.returncode == 0, straight.stderr

    assert launched(broken, DIES_AT="8").returncode != 0
    assert training.steps(broken / "sharded-run") == [3, 6]
    again = launched(broken)
    assert again.returncode == 0, again.stderr
    assert kept(broken / "sharded-run/step-12") == kept(whole / "sharded-run/step-12")


def kept(step: Path) -> list[Any]:
    """All but the random numbers of Python and NumPy, which the program does not seed."""
    record = json.loads((step / "checkpoint.json").read_text())
    files = {name: file for name, file in record["files"].items() if "random" not in name}
    drawn = [
        safetensors.torch.load_file(step / name)["torch"].tolist()
        for name in ("random.safetensors", "random.rank-1.safetensors")
    ]
    return [files, drawn, record["parts"]["sampler"], record["ranks"]["pieces"]]
