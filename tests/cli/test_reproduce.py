"""`cairn reproduce`: runs that come out the same, nearly, and otherwise; and what is refused."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from torch import nn

from cairn.cli.main import app
from cairn.errors import (
    CairnError,
    ConflictError,
    ForbiddenError,
    InexactError,
    RequestError,
    UnavailableError,
)
from cairn.provenance.signing import Standing, check_signature, read_bundle, read_trusted
from cairn.training import Run, TrainingData, data_at

# Stands for a program that trains, without torch: what it writes is the first run, changed as
# the file `how` says.
PROGRAM = """
import json, os, pathlib, shutil, struct, sys
orders = json.loads(os.environ["CAIRN_RUN"])
into = pathlib.Path(orders["into"])
how = pathlib.Path("how").read_text()
if how == "fails":
    sys.exit(3)
if how == "nothing":
    sys.exit(0)
shutil.copytree(orders["folder"], into)
metrics = into / "metrics.jsonl"
lines = [json.loads(line) for line in metrics.read_text().splitlines()]
if how == "shorter":
    lines = lines[:2]
lines = [line for line in lines if line["step"] <= (orders["until"] or line["step"])]
for line in lines:
    if line["step"] >= 3 and how in ("nearly", "otherwise"):
        line["values"]["loss"] *= 1.00001 if how == "nearly" else 1.1
metrics.write_text("".join(json.dumps(line) + "\\n" for line in lines))
if how == "tensors":
    path = into / "step-4/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4:] = struct.pack("<f", 5.0)
    path.write_bytes(data)
    record = into / "step-4/checkpoint.json"
    said = json.loads(record.read_text())
    said["files"]["model.safetensors"]["digest"] = "blake3:" + "0" * 64
    record.write_text(json.dumps(said))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of this program in `run`, and data."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(PROGRAM)
    Path("train.csv").write_text("text,label\n")
    Path("how").write_text("the same")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "train.py", raising=False)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "train.py"])
    train("run", data=data_at("train.csv"))


def train(folder: str, **about: Any) -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Run(folder, seed=1, model=model, optimizer=optimizer, **about) as run:
        for step in range(1, 5):
            loss = (model(torch.ones(2, 3)) - 1).square().mean()
            loss.backward()
            optimizer.step()
            run.log(step, loss=loss, seconds_per_step=0.1)
            if step % 2 == 0:
                run.save(step)


def cairn(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", *arguments])


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", "verify", *arguments])


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("the same", 0, "identical"),
        ("nearly", 0, "equal within tolerance"),
        ("otherwise", 1, "different from step 3"),
        ("tensors", 1, "different: the losses are alike, the tensors are not"),
        ("shorter", 1, "different: it ended before the run did"),
    ],
)
def test_what_came_out_is_said_and_written(how: str, code: int, words: str) -> None:
    Path("how").write_text(how)
    done = cairn("run")
    assert done.exit_code == code, done.exception
    assert done.stdout.splitlines()[0] == words
    report = json.loads(Path("run-again/reproduction.json").read_text())
    assert report["outcome"] == words.partition(" from")[0].partition(":")[0]
    assert [one["metric"] for one in report["curves"]] == ["loss"]
    assert report["tensors_of_step"] == 4
    first = {"nearly": 3, "otherwise": 3}.get(how)
    assert report["first_step_not_identical"] == first
    assert report["first_step_beyond_tolerance"] == (3 if how == "otherwise" else None)


def test_a_part_is_trained_again_and_held_against_the_same_part() -> None:
    Path("how").write_text("otherwise")
    done = cairn("run", "--until-step", "2")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "identical until step 2")
    report = json.loads(Path("run-again/reproduction.json").read_text())
    assert (report["until_step"], report["tensors_of_step"]) == (2, 2)
    assert [one["compared_steps"] for one in report["curves"]] == [2]
    done = cairn("run", "--until-step", "3", "--into", "b")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, "different from step 3")


def test_how_much_is_equal_is_up_to_the_reader() -> None:
    Path("how").write_text("nearly")
    assert cairn("run", "--exact").exit_code == 1
    assert cairn("run", "--into", "b", "--tolerance", "1e-7").exit_code == 1
    told = json.loads(cairn("run", "--into", "c", "--json").stdout)
    assert (told["outcome"], told["signed"]) == ("equal within tolerance", False)


def test_the_report_is_signed_about_the_files_of_the_last_checkpoint() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    Path("key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert cairn("run", "--key", "key.pem").exit_code == 0
    bundle = read_bundle(Path("run-again/reproduction.sig").read_bytes(), "reproduction.sig")
    check = check_signature(bundle, [read_trusted(public, "key")], datetime.now(UTC))
    assert check.standing is Standing.TRUSTED
    report = json.loads(Path("run-again/reproduction.json").read_text())
    assert bundle.statement.predicate == report
    named = {one.name: one.digests for one in bundle.statement.subjects}
    record = json.loads(Path("run/step-4/checkpoint.json").read_text())
    for name, said in record["files"].items():
        assert named[f"step-4/{name}"] == {"blake3": said["digest"].removeprefix("blake3:")}
    Path("key.pub").write_bytes(public)
    signed = ("run-again/reproduction.sig", "--key", "key.pub")
    done = verify(*signed, "--run", "run")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["about the checkpoints of run", "it says: identical"]
    train("other", data=data_at("train.csv"))
    shutil.rmtree("other/step-4")
    assert verify(*signed, "--run", "other").exit_code == 1
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    Path("key.pub").write_bytes(
        stranger.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    done = verify(*signed, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["signature"] == "unknown"


def test_the_signature_of_something_else_is_no_report() -> None:
    Path("a.sig").write_text("{}")
    Path("key.pub").write_text("")
    assert isinstance(verify("missing.sig", "--key", "key.pub").exception, CairnError)
    assert isinstance(verify("a.sig").exception, RequestError)


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [("train.csv", "text,label\nbad,1\n", "data"), ("train.py", PROGRAM + "#\n", "program")],
)
def test_other_code_and_other_data_are_not_trained_unasked(
    path: str, content: str, name: str
) -> None:
    Path(path).write_text(content)
    refused = cairn("run").exception
    assert isinstance(refused, InexactError)
    assert f"--allow {name}" in str(refused)
    assert not Path("run-again").exists()
    done = cairn("run", "--allow", name)
    assert done.exit_code == 0
    assert f"otherwise than then: {name}" in done.stdout


def test_another_commit_is_refused_and_another_library_is_told() -> None:
    record = Path("run/run.json")
    said = json.loads(record.read_text())
    said["sessions"][0]["environment"] |= {"code": "0" * 40, "torch": "1.0"}
    record.write_text(json.dumps(said))
    refused = cairn("run").exception
    assert isinstance(refused, InexactError) and "--allow code" in str(refused)
    done = cairn("run", "--allow", "code")
    assert done.exit_code == 0
    assert "otherwise than then torch was 1.0 and is" in done.stderr


def test_a_run_that_somebody_else_began_is_not_executed_unasked() -> None:
    shutil.rmtree("state")
    assert isinstance(cairn("run").exception, ForbiddenError)
    assert not Path("run-again").exists()
    assert cairn("run", "--dry-run").stdout.strip() == f"{sys.executable} train.py"
    assert cairn("run", "--trust-code").exit_code == 0


def test_what_cannot_be_done_again_is_said() -> None:
    Path("how").write_text("fails")
    assert isinstance(cairn("run").exception, UnavailableError)
    Path("how").write_text("nothing")
    assert isinstance(cairn("run").exception, RequestError)
    Path("full").mkdir()
    Path("full/file").touch()
    assert isinstance(cairn("run", "--into", "full").exception, ConflictError)
    said = json.loads(Path("run/run.json").read_text())
    later = json.loads(json.dumps(said["sessions"][0]))
    later["from_step"] = 2
    later["recipe"]["arguments"].append("--other")
    Path("run/run.json").write_text(json.dumps({**said, "sessions": [*said["sessions"], later]}))
    refused = cairn("run", "--trust-code").exception
    assert isinstance(refused, ConflictError)
    assert "went on from step 2 by another command (train.py --other)" in str(refused)


def test_what_makes_the_same_bits_unlikely_is_told_before() -> None:
    train("vague", data=TrainingData("somewhere"))
    said = json.loads(Path("vague/run.json").read_text())
    Path("vague/run.json").write_text(json.dumps({**said, "seed": None}))
    told = cairn("vague").stderr
    for words in ("names no seed", "no commit of the source", "data without a digest: somewhere"):
        assert words in told


LOOP = """
import sys, torch
from cairn.training import Run
torch.set_num_threads(1)
torch.manual_seed(int(open("seed").read()))
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
with Run("loop", seed=1, model=model, optimizer=optimizer) as run:
    for step in range(1, 9):
        loss = (model(torch.rand(2, 4)) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(step, loss=loss)
    run.save(8)
"""


@pytest.mark.slow
def test_a_real_run_is_identical_and_another_seed_is_told() -> None:
    Path("loop.py").write_text(LOOP)
    Path("seed").write_text("1")
    subprocess.run([sys.executable, "loop.py"], check=True, timeout=120)
    assert cairn("loop").stdout.splitlines()[0] == "identical"
    Path("seed").write_text("2")
    done = cairn("loop", "--into", "other")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, "different from step 1")
