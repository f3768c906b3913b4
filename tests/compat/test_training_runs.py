"""Training runs are pushed to a hub by its stock client, and go on from there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants
from torch import nn

from cairn.cli.main import app
from cairn.errors import EntryNotFoundError, UnavailableError
from cairn.training import Run, steps
from tests.compat.conftest import People
from tests.compat.hubs import Hub


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for proxied in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(proxied, "127.0.0.1")


def train(folder: str, until: int) -> None:
    torch.manual_seed(1)
    model = nn.Linear(64, 64)
    with Run(folder, model=model, optimizer=torch.optim.AdamW(model.parameters())) as run:
        back = run.resume()
        for step in range(back.step if back else 0, until):
            loss = (model(torch.rand(2, 64)) - 1).square().mean()
            model.zero_grad()
            loss.backward()
            run.log(step + 1, loss=loss)
            run.save(step + 1)


def test_a_run_is_pushed_and_goes_on_from_the_hub(hub: Hub, people: People, name: str) -> None:
    at = ("--hub", hub.url, "--token", people.alice)

    def cairn(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["run", *arguments, *at, "--json"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return json.loads(done.stdout)

    with pytest.raises(EntryNotFoundError):
        cairn("fetch", name, "there")
    train("here", 2)
    assert cairn("push", "here", name)["sent"] == ["step-2", "step-1"]
    assert cairn("push", "here", f"hub:{name}")["sent"] == []
    assert cairn("fetch", name, "there")["steps"] == [2]
    train("there", 3)
    assert steps("there") == [2, 3]
    assert cairn("push", "there", name)["sent"] == ["step-3"]
    assert cairn("fetch", name, "all", "--all")["steps"] == [1, 2, 3]
    shown = CliRunner().invoke(
        app, ["run", "show", name, "--data", str(hub.data), "--json"], catch_exceptions=False
    )
    assert json.loads(shown.stdout)["resume_point"] == 3
    at = ("--hub", "http://127.0.0.1:9", "--token", people.alice)
    with pytest.raises(UnavailableError, match="does not answer"):
        cairn("push", "here", name)
