"""`cairn finetune` from the shell: what it refuses at once, and one run from start to end."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cairn.cli.finetune import finetune
from cairn.domain import RepoId
from cairn.errors import ConflictError
from cairn.workflows import fetching
from cairn.workflows.fetching import Fetched
from tests.cli.command import CAIRN, cairn
from tests.training.finetuning import bases, toys

SMALL = (
    "--method",
    "full",
    "--learning-rate",
    "0.02",
    "--batch-size",
    "16",
    "--steps",
    "60",
    "--save-every",
    "5",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_what_makes_no_sense_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    base, data = tmp_path / "base", tmp_path / "data.csv"
    base.mkdir()
    data.write_text("text,label\na,b\n")
    (base / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}')
    told = cairn("finetune", str(base), "--data", str(data), expect=2)
    assert "base does not say what it is to learn: --task is one of text-class" in told.stderr
    told = cairn("finetune", str(base), expect=2)
    assert "nothing says the data: give --data, or --recipe" in told.stderr
    ask = ("finetune", str(base), "--data", str(data), "--task", "text-classification")
    assert "epochs is -1.0, and must be" in cairn(*ask, "--epochs=-1", expect=2).stderr
    assert "does not say role=column" in cairn(*ask, "--columns", "text", expect=2).stderr
    told = cairn("finetune", "org/base", "--data", str(data), env={"HF_ENDPOINT": ""}, expect=2)
    assert "name its hub with --hub, or HF_ENDPOINT" in told.stderr
    (base / "model.safetensors").touch()
    told = cairn("finetune", str(base / "model.safetensors"), "--data", str(data), expect=2)
    assert "is a file: name the folder that it lies in" in told.stderr
    (tmp_path / "recipe.json").write_text('{"format": "cairn-finetune", "version": 1}')
    told = cairn("finetune", "--recipe", str(tmp_path / "recipe.json"), expect=6)
    assert "no recipe in it" in told.stderr


def test_a_recipe_takes_the_commits_that_it_was_used_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"base": "org/base@v1", "data": "org/data", "task": "text-classification"}
    recipe["eval_data"] = "org/eval"
    made = {f"{n}_revision": str(i) * 40 for i, n in enumerate(("base", "data", "eval_data"), 1)}
    document = {"format": "cairn-finetune", "version": 1, "recipe": recipe, "made": made}
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    taken: list[str | None] = []

    def take(repo: RepoId, revision: str | None, *_: object) -> Fetched:
        taken.append(revision)
        return Fetched(tmp_path, "4" * 40)

    monkeypatch.setattr(fetching, "fetch", take)
    monkeypatch.chdir(tmp_path)  # holds other files than a run: nothing is trained
    ask = ["--recipe", "recipe.json", "--hub", "http://localhost:1", "--out", str(tmp_path.parent)]
    for more in ([], ["org/base", "--data", "org/data@v2"]):
        with pytest.raises(ConflictError, match="holds other files"):
            finetune.main([*more, *ask], standalone_mode=False)
    assert taken == ["1" * 40, "2" * 40, "3" * 40, None, "v2", "3" * 40]


@pytest.mark.slow
def test_a_stopped_command_goes_on_and_a_recipe_does_it_again(tmp_path: Path) -> None:
    base, data = bases.bert(tmp_path / "base"), toys.reviews(tmp_path / "data.csv", 200)
    (base / "config.json").write_text(
        (base / "config.json").read_text().replace("ForMaskedLM", "ForSequenceClassification")
    )
    ask = ("finetune", str(base), "--data", str(data), *SMALL)
    straight, cut, again = (tmp_path / name for name in ("straight", "cut", "again"))
    told = cairn(*ask, "--json", "--out", str(straight), env=ONE_THREAD).stdout.splitlines()
    events = [json.loads(line) for line in told]
    assert [one["step"] for one in events if one["event"] == "step"] == list(range(1, 61))
    assert events[-1]["measured"]["eval_accuracy"] > 0.9
    stop_by(signal.SIGINT, (*ask, "--out", str(cut)), cut, expect=130)
    stop_by(signal.SIGKILL, (*ask, "--out", str(cut)), cut, expect=-signal.SIGKILL)
    cairn(*ask, "--out", str(cut), env=ONE_THREAD)
    recipe = str(straight / "recipe.json")
    cairn("finetune", "--recipe", recipe, "--out", str(again), env=ONE_THREAD)
    wanted = (straight / "model.safetensors").read_bytes()
    assert (cut / "model.safetensors").read_bytes() == wanted
    assert (again / "model.safetensors").read_bytes() == wanted


def stop_by(number: int, ask: tuple[str, ...], out: Path, *, expect: int) -> None:
    """Start a command, and send it a signal once it has measured something more."""
    curves = out / "run" / "metrics.jsonl"
    before = curves.stat().st_size if curves.exists() else 0
    command = [str(CAIRN), *ask]
    with subprocess.Popen(
        command, env={**os.environ, **ONE_THREAD}, stderr=subprocess.PIPE, text=True
    ) as running:
        while not curves.exists() or curves.stat().st_size <= before + 500:
            assert running.poll() is None, running.stderr and running.stderr.read()
            time.sleep(0.02)
        running.send_signal(number)
        assert running.stderr is not None
        told = running.stderr.read()
    assert running.returncode == expect, told
    if number == signal.SIGINT:
        assert "the same command goes on from" in told
