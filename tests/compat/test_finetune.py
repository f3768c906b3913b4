"""A base and data of a hub become a published adapter, which stock loaders find with its base."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import HfApi, constants, snapshot_download

from cairn.cli.main import app
from cairn.errors import RepoNotFoundError, RequestError, UnauthenticatedError
from tests.compat.conftest import People
from tests.compat.hubs import Hub
from tests.training.finetuning import bases, toys

SHORT = ("--task", "text-classification", "--steps", "4", "--device", "cpu")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    for proxied in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(proxied, "127.0.0.1")


def cairn(*arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["finetune", *arguments, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert "files" not in done.stderr, "bars and hints of the hub's client are for terminals"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_published_is_a_base_also_where_the_hub_is_not_asked(
    hub: Hub, people: People, tmp_path: Path
) -> None:
    api = HfApi(endpoint=hub.url, token=people.alice)
    api.create_repo("alice/rows", repo_type="dataset")
    rows = toys.reviews(tmp_path / "rows.csv", 30)
    api.upload_file(
        repo_id="alice/rows", repo_type="dataset", path_or_fileobj=rows, path_in_repo="rows.csv"
    )
    base, short = bases.bert(tmp_path / "base"), (*SHORT, "--method", "last-layer")
    ask = (str(base), "--data", "alice/rows", *short, "--hub", hub.url, "--token", people.alice)
    *_, ended, published = cairn(*ask, "--out", "first", "--publish", "alice/first")
    info = api.model_info("alice/first")
    assert info.sha == published["commit"] and ended["learnt"] + ended["held_out"] == 30
    names = {one.rfilename for one in info.siblings}
    assert {"model.safetensors", "recipe.json", "results.json", "README.md"} <= names
    assert not any(name.startswith("run/") for name in names)
    for token, error in (("", RequestError), ("hf_wrong", UnauthenticatedError)):
        with pytest.raises(error, match="token"):  # before training
            cairn(*ask, "--out", "never", "--publish", "alice/never", "--token", token)
    assert not Path("never").exists()
    kept = ("--data-dir", str(hub.data))
    again = ("alice/first", "--data", "alice/rows", *short, *kept, "--out", "second")
    *_, ended = cairn(*again)
    assert (ended["chosen_step"], ended["event"]) == (4, "ended")
    made = json.loads(Path("second/recipe.json").read_text())["made"]
    weights = Path("first/model.safetensors").read_bytes()
    assert made["base_weights"] == {
        "model.safetensors": f"sha256:{hashlib.sha256(weights).hexdigest()}"
    }
    assert made["base_revision"] == published["commit"]
    assert made["data_revision"] == api.dataset_info("alice/rows").sha
    with pytest.raises(RepoNotFoundError, match="alice/nothing"):
        cairn("alice/nothing", *again[1:])


@pytest.mark.slow
def test_an_adapter_is_published_with_its_lineage(hub: Hub, people: People, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    api = HfApi(endpoint=hub.url, token=people.alice)
    api.create_repo("alice/tuning-base")
    api.upload_folder(repo_id="alice/tuning-base", folder_path=bases.bert(tmp_path / "base"))
    api.create_repo("alice/opinions", repo_type="dataset")
    (tmp_path / "data").mkdir()
    toys.reviews(tmp_path / "data" / "train.csv", 40)
    toys.reviews(tmp_path / "data" / "test.csv", 10, seed=1)
    api.upload_folder(repo_id="alice/opinions", repo_type="dataset", folder_path=tmp_path / "data")
    ask = ("alice/tuning-base", "--data", "alice/opinions", *SHORT, "--hub", hub.url)
    *_, ended, published = cairn(*ask, "--publish", "alice/tuned", "--token", people.alice)
    assert (ended["learnt"], ended["held_out"]) == (40, 10)
    info = api.model_info("alice/tuned")
    assert info.sha == published["commit"]
    assert info.card_data.base_model == "alice/tuning-base"
    assert info.card_data.base_model_relation == "adapter"
    assert info.card_data.datasets == ["alice/opinions"]
    assert info.card_data.license == "apache-2.0"
    assert info.pipeline_tag == "text-classification" and info.library_name == "peft"
    assert "accuracy" in {one.metric_type for one in info.card_data.eval_results}
    names = {one.rfilename for one in info.siblings}
    assert {"adapter_model.safetensors", "recipe.json", "results.json"} <= names
    assert not any(name.startswith("run/") for name in names)
    page = hub.get("/alice/tuned", people.alice).decode()
    assert "alice/tuning-base" in page
    adapter = snapshot_download("alice/tuned", endpoint=hub.url, token=people.alice)
    told = json.loads((Path(adapter) / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "alice/tuning-base"
    assert told["revision"] == api.model_info("alice/tuning-base").sha
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=2)
    base.load_adapter(adapter)
    again = cairn(*ask, "--publish", "alice/tuned", "--token", people.alice)
    assert [one["event"] for one in again] == ["ended", "published"], "nothing is trained twice"


@pytest.mark.slow
def test_what_cannot_be_published_or_fetched_is_said_before_training(
    hub: Hub, people: People, tmp_path: Path
) -> None:
    base, data = bases.bert(tmp_path / "base"), toys.reviews(tmp_path / "d.csv", 40)
    at = ("--hub", hub.url, "--token", people.alice)
    with pytest.raises(RequestError, match="on no hub, is of no use to others"):
        cairn(str(base), "--data", str(data), *SHORT, *at, "--publish", "alice/other")
    with pytest.raises(RepoNotFoundError, match="alice/nothing"):
        cairn("alice/nothing", "--data", str(data), *SHORT, *at)
    with pytest.raises((RepoNotFoundError, UnauthenticatedError)):
        cairn("alice/tuning-base", "--data", str(data), *SHORT, *at[:2], "--token", "hf_wrong")
