"""What YAML beside weights says of a training, each with its evidence; and YAML made to hurt."""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch
import yaml
from click.testing import CliRunner
from torch import nn

from cairn.cli.main import app
from cairn.domain import Checkpoint, Part
from cairn.formats import BytesSource
from cairn.formats.limits import MAX_YAML_CHARS
from cairn.workflows.inspect import inspect_files, inspect_path
from cairn.workflows.inspection import describe
from tests.formats.making import saved
from tests.formats.test_nemo import tar
from tests.hub.test_cards import bomb, merge_bomb

WEIGHTS = BytesSource(safetensors.torch.save({"a.weight": torch.zeros(2, 2)}))


def looked_at(**texts: str | bytes) -> Checkpoint:
    """Weights with files beside them; `__` in a keyword stands for the dot of the name."""
    files = {name.replace("__", "."): text for name, text in texts.items()}
    sources = {
        name: BytesSource(text.encode() if isinstance(text, str) else text)
        for name, text in files.items()
    }
    return inspect_files({"model.safetensors": WEIGHTS, **sources})


def said(found: Checkpoint, key: str) -> tuple[Any, str]:
    return found.training[key], found.training_evidence[key]


def test_the_settings_that_lightning_logs_are_read_with_their_classes_left_out(
    tmp_path: Path,
) -> None:
    import lightning as pl
    from lightning.pytorch.loggers import CSVLogger

    class Net(pl.LightningModule):
        def __init__(self, **settings: Any) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Linear(3, 2)

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            return self.net(batch).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters())

    run = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=CSVLogger(str(tmp_path)),
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = Net(dataset="imdb", betas=(0.9, 0.99), inner=argparse.Namespace(q=1), nested={"a": [1]})
    run.fit(model, torch.utils.data.DataLoader(torch.randn(4, 3), batch_size=4))
    logged = next(tmp_path.rglob("hparams.yaml"))
    assert "!!python/object:argparse.Namespace" in logged.read_text()
    found = looked_at(hparams__yaml=logged.read_bytes())
    assert said(found, "datasets") == ("imdb", "hparams.yaml: dataset")
    assert said(found, "hyper_parameters.betas") == ("0.9, 0.99", "hparams.yaml: betas")
    assert said(found, "hyper_parameters.inner.q") == (1, "hparams.yaml: inner.q")
    # The file of weights says it too, and its word goes first.
    whole = inspect_path(logged.parent)
    assert whole.unread == {}
    (checkpoint,) = whole.layouts
    for key in ("datasets", "hyper_parameters.inner.q"):
        value, evidence = said(whole, key)
        assert value == found.training[key]
        assert evidence.startswith(f"{checkpoint}: hyper_parameters.")


def test_the_arguments_of_ultralytics_name_data_and_epochs() -> None:
    arguments = {
        "task": "detect", "model": "yolov8n.pt", "data": "coco8.yaml", "epochs": 30, "batch": 16,
        "lr0": 0.01, "time": None, "save_json": False, "seed": 0,
    }  # fmt: skip
    found = looked_at(args__yaml=yaml.safe_dump(arguments))
    assert said(found, "datasets") == ("coco8.yaml", "args.yaml: data")
    assert said(found, "num_train_epochs") == (30, "args.yaml: epochs")
    assert said(found, "args.lr0") == (0.01, "args.yaml: lr0")
    assert not {"args.time", "args.save_json"} & set(found.training)
    # The weights carry them as well.
    inside = inspect_files({"best.pt": BytesSource(saved({"train_args": arguments}))})
    assert said(inside, "datasets") == ("coco8.yaml", "best.pt: data")


def test_the_settings_inside_a_nemo_archive_tell_data_and_optimizer() -> None:
    config = {
        "target": "nemo.X", "train_ds": {"manifest_filepath": "train.json", "batch_size": 8},
        "optim": {"name": "adamw", "lr": 0.5, "betas": [0.9, 0.98]}, "trainer": {"max_epochs": 7},
    }  # fmt: skip
    members = {
        "model_config.yaml": yaml.safe_dump(config).encode(),
        "model_weights.ckpt": saved({"w": torch.zeros(2)}),
    }
    found = inspect_files({"asr.nemo": BytesSource(tar(members))})
    assert said(found, "datasets") == ("train.json", "asr.nemo: train_ds.manifest_filepath")
    assert said(found, "num_train_epochs") == (7, "asr.nemo: trainer.max_epochs")
    assert found.training["optim.betas"] == "0.9, 0.98"
    beside = looked_at(model_config__yaml=members["model_config.yaml"])
    assert said(beside, "optim.lr") == (0.5, "model_config.yaml: optim.lr")


def card() -> str:
    """A card as the Trainer writes it, by the hub's own library."""
    result = huggingface_hub.EvalResult(
        task_type="text-classification", dataset_type="imdb", dataset_name="IMDb",
        metric_type="accuracy", metric_value=0.91,
    )  # fmt: skip
    data = huggingface_hub.ModelCardData(
        license="apache-2.0", datasets=["imdb"], base_model="google/bert", metrics=["accuracy"],
        model_name="mine", eval_results=[result],
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n# Mine\n"


def test_a_model_card_names_data_base_model_licence_and_results() -> None:
    found = looked_at(README__md=card())
    assert said(found, "datasets") == ("imdb", "README.md: datasets")
    assert said(found, "base_model") == ("google/bert", "README.md: base_model")
    assert said(found, "license") == ("apache-2.0", "README.md: license")
    assert said(found, "results.IMDb.accuracy") == (0.91, "README.md: model-index")
    assert describe(found)["training_evidence"]["metrics"] == "README.md: metrics"


def test_what_the_run_noted_goes_before_what_a_card_says() -> None:
    found = looked_at(README__md=card(), args__yaml="data: coco.yaml\n")
    assert said(found, "datasets") == ("coco.yaml", "args.yaml: data")


def test_a_licence_alone_is_no_metadata_of_a_training() -> None:
    bare = looked_at(README__md="---\nlicense: mit\n---\n").completeness
    told = looked_at(README__md=card()).completeness
    assert bare is not None and told is not None
    assert Part.METADATA not in bare.present
    assert told.present[Part.METADATA] == "datasets, base_model, metrics"


@pytest.mark.parametrize("text", ["# no front matter", "", "---\n---\n", "\n\n---\n# text\n---\n"])
def test_a_readme_without_settings_says_nothing(text: str) -> None:
    found = looked_at(README__md=text)
    assert found.training == {}
    assert found.unread == {}


HOSTILE = {
    "an alias bomb": bomb(9, 9),
    "a bomb of merge keys": merge_bomb(21),
    "an alias of itself": "a: &a [*a]",
    "brackets without end": "a: " + "[" * 100_000,
    "mappings without end": "a: " + "{b: " * 5000,
    "too many values": "a: [" + "x, " * 30_000 + "x]",
    "a number of ten thousand digits": "a: " + "9" * 10_000,
    "a number in base sixty": "a: 1" + ":0" * 100_000,
    "half a surrogate pair": 'a: "\\ud800"',
    "no mapping": "[1, 2]",
    "no yaml": "a: b: c",
    "a list as a key": "? [a]\n: b",
    "unknown aliases": "a: *nowhere",
}


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.parametrize("name", ["hparams.yaml", "args.yaml", "model_config.yaml", "README.md"])
def test_yaml_made_to_hurt_is_unread_with_the_reason(name: str, label: str) -> None:
    text = HOSTILE[label]
    if name == "README.md":
        text = f"---\n{text}\n---\n"
    began_s = time.process_time()
    found = looked_at(**{name.replace(".", "__"): text})
    assert time.process_time() - began_s < 1.5
    if label == "a bomb of merge keys" and not found.unread:
        return  # PyYAML merges what is named twice only once since 6.0.4
    assert list(found.unread) == [name]
    assert len(found.unread[name]) < 500
    assert found.training == {}


def test_a_settings_file_too_large_to_be_one_is_not_read() -> None:
    found = looked_at(hparams__yaml="#" * (MAX_YAML_CHARS + 1))
    assert "at most" in found.unread["hparams.yaml"]
    assert "not closed" in looked_at(README__md="---\n" + "a: 1\n" * 90_000).unread["README.md"]


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os", "!x"],
)
def test_tags_make_nothing(tag: str, tmp_path: Path) -> None:
    mark = tmp_path / "made"
    found = looked_at(hparams__yaml=f"a: !!{tag} ['touch {mark}']\nb: 1\n")
    assert not mark.exists()
    assert found.unread == {}
    assert found.training["hyper_parameters.a"] == f"touch {mark}"
    refused = looked_at(README__md=f"---\ndatasets: !!{tag} ['touch {mark}']\n---\n")
    assert not mark.exists()
    assert "could not determine a constructor" in refused.unread["README.md"]


def test_without_yaml_listing_needs_no_yaml_library(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS.read_at(0, WEIGHTS.size_bytes))
    script = (
        "import sys; from pathlib import Path; from cairn.workflows.inspect import inspect_path;"
        "inspect_path(Path(sys.argv[1])); print('yaml' in sys.modules)"
    )

    def has_yaml() -> str:
        command = [sys.executable, "-c", script, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert has_yaml() == "False"
    (tmp_path / "args.yaml").write_text("epochs: 3\n")
    assert has_yaml() == "True"


def test_the_command_shows_what_was_trained_on(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS.read_at(0, WEIGHTS.size_bytes))
    (tmp_path / "README.md").write_text(card())
    target = str(tmp_path / "model.safetensors")
    shown = CliRunner().invoke(app, ["inspect", target], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "datasets" in shown.output and "imdb" in shown.output
    assert "README.md: datasets" in shown.output
