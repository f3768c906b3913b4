"""`cairn run launch`: a recipe becomes a file, and that for torchrun is run by two processes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cairn.training import steps
from tests.cli.command import CAIRN, cairn
from tests.training.finetuning import bases, toys


def recipe(folder: Path) -> Path:
    """The recipe of a fine-tuning of two steps."""
    base, data = bases.bert(folder / "base"), toys.reviews(folder / "data.csv", 40)
    ask = ("finetune", str(base), "--data", str(data), "--task", "text-classification")
    cairn(*ask, "--steps", "2", "--out", str(folder / "alone"), env={"OMP_NUM_THREADS": "1"})
    return folder / "alone/recipe.json"


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    assert cairn("run", "launch", str(tmp_path / "recipe.json"), expect=6).stderr


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["torchrun", "accelerate"])
def test_two_processes_train_by_the_file(wanted: str, tmp_path: Path) -> None:
    made = recipe(tmp_path)
    told = cairn("run", "launch", str(made), "--format", "slurm", "--gpus", "8", "--json")
    assert json.loads(told.stdout)["name"] == "alone-launched"
    out = tmp_path / "shared"
    ask = ("run", "launch", str(made), "--gpus", "0", "--processes", "2", "--out", str(out))
    ask = (*ask, "--format", wanted)
    script = tmp_path / "launch.sh"
    script.write_text(cairn(*ask).stdout)
    found = subprocess.run(
        ["sh", str(script)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{CAIRN.parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("parameters trained") == 1  # one speaks for both
    record = json.loads((out / "run/step-2/checkpoint.json").read_text())
    assert record["ranks"]["size"] == 2
    assert json.loads((out / "results.json").read_text())["chosen_step"] == 2
    assert steps(out / "run")[-1] == 2


@pytest.mark.slow
def test_what_two_processes_trained_is_trained_again_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    env["XDG_STATE_HOME"] = str(tmp_path / "state")
    ask = ("--gpus", "0", "--processes", "2", "--out", "shared")
    Path("launch.sh").write_text(cairn("run", "launch", str(recipe(tmp_path)), *ask).stdout)
    path = f"{CAIRN.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "launch.sh"], env={**os.environ, **env, "PATH": path}, check=True)
    told = cairn("reproduce", "shared/run", "--exact", "--into", "again", env=env).stdout
    assert told.splitlines()[0] == "identical"
    part = ("--until-step", "1", "--into", "part")
    told = cairn("reproduce", "shared/run", *part, "--json", env=env).stdout
    report = json.loads(told)
    assert (report["outcome"], report["until_step"]) == ("identical", 1)
    assert report["curves"][0]["compared_steps"] == 1
    assert report["environment"]["processes"] == 2
    assert steps(tmp_path / "again/run")[-1] == 2 and not Path("part/results.json").exists()
