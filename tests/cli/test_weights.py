"""`cairn weights` as a person runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from cairn.cli.main import app


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A base, a fine-tune in which one direction and one row stand out, an honest one."""
    rng = np.random.default_rng(0)
    base = {f"layers.{n}.weight": rng.standard_normal((40, 32)).astype(np.float32) for n in (0, 1)}
    tuned = {k: v + rng.standard_normal(v.shape).astype(np.float32) * 0.01 for k, v in base.items()}
    honest = {
        k: v + rng.standard_normal(v.shape).astype(np.float32) * 0.01 for k, v in base.items()
    }
    tuned["layers.1.weight"][7] += 0.5
    for name, state in (("base", base), ("tuned", tuned), ("honest", honest)):
        save_file(state, tmp_path / f"{name}.safetensors")
    return [str(tmp_path / f"{name}.safetensors") for name in ("base", "tuned", "honest")]


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["weights", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_report_names_the_row_and_says_how_often_it_errs(files: list[str]) -> None:
    text = run(*files[:2])
    assert "2 of 2 tensors changed" in text
    assert "7 (z " in text
    assert "honest fine-tunes of the benchmark score as high, p = " in text
    assert "never proof either way" in text and "backdoored" not in text


def test_siblings_and_json(files: list[str]) -> None:
    told = json.loads(run(*files[:2], "--sibling", files[2], "--json"))
    assert told["evidence"]["among_siblings"] == {"honest": 1, "as_high": 0, "p": 0.5}
    assert told["tensors"][0]["name"] == "layers.1.weight"
    assert [row["index"] for row in told["tensors"][0]["rows"]] == [7]


def test_a_limit_hides_tensors_and_says_so(files: list[str]) -> None:
    assert "1 more tensors" in run(*files[:2], "--limit", "1")


def test_a_hub_is_asked_for_the_model_and_maybe_its_base(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.loads(run(*files[:2], "--json"))
    asked = []

    def remote_weights(hub: object, repo: object, revision: str, **rest: object) -> dict:
        asked.append((str(repo), revision, rest["base"]))
        return told

    monkeypatch.setattr("cairn.hub.remote_weights.remote_weights", remote_weights)
    there = ("--hub", "http://localhost:1")
    assert "2 of 2 tensors changed" in run("org/tuned", *there)
    assert "2 of 2 tensors changed" in run("org/base@v1", "org/tuned@v2", *there)
    assert asked == [
        ("org/tuned", "main", ("", "")),
        ("org/tuned", "v2", ("org/base", "v1")),
    ]
    for wrong in (["org/tuned"], ["org/tuned", *there, "--sibling", "org/other"]):
        assert CliRunner().invoke(app, ["weights", *wrong]).exit_code == 2


def test_a_missing_file_is_an_error(files: list[str]) -> None:
    assert CliRunner().invoke(app, ["weights", files[0], "nowhere.pt"]).exception is not None
