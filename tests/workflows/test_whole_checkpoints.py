"""Checkpoints saved by their own frameworks: the table in the documents, owners, parts, facts."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from click.testing import CliRunner

from cairn.cli.main import app
from cairn.domain import Checkpoint, Part, Role
from cairn.formats import BytesSource
from cairn.formats.family import CANNOT_BE_KNOWN
from cairn.workflows.inspect import inspect_files, inspect_path
from cairn.workflows.inspection import describe
from scripts.format_checkpoints import TEXT, make_all, model_of
from scripts.format_table import DOCUMENT, document


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_all(tmp_path_factory.mktemp("families"))


@pytest.fixture(scope="module")
def made(paths: dict[str, Path]) -> dict[str, Checkpoint]:
    return {label: inspect_path(path) for label, path in paths.items()}


def facts_of(checkpoint: Checkpoint) -> dict[str, Any]:
    assert checkpoint.architecture is not None
    return {key: fact.value for key, fact in checkpoint.architecture.facts.items()}


def owners(checkpoint: Checkpoint, path: str) -> dict[str, str]:
    return {prefix: name for (file, prefix), name in checkpoint.belongs.items() if file == path}


def test_the_table_of_families_is_what_inspect_says(paths: dict[str, Path]) -> None:
    current = DOCUMENT.read_text()
    assert current == document(paths), "run: .venv/bin/python -m scripts.format_table"


def test_a_graph_or_the_classes_of_modules_state_the_architecture(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    torch.save(network, tmp_path / "whole.pt")
    torch.jit.script(network).save(str(tmp_path / "script.pt"))
    torch.export.save(torch.export.export(network, (torch.zeros(2, 3),)), tmp_path / "graph.pt2")
    torch.save(network.state_dict(), tmp_path / "bare.pt")

    def evidence(name: str) -> str | None:
        found = inspect_path(tmp_path / name).completeness
        assert found is not None
        return found.present.get(Part.ARCHITECTURE)

    assert evidence("whole.pt") == "classes of modules in whole.pt"
    assert evidence("script.pt") == "code in script.pt"
    assert evidence("graph.pt2") == "graph in graph.pt2"
    assert evidence("bare.pt") is None


def test_single_numbers_beside_the_weights_are_not_weights(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    best = torch.tensor(71.5)
    torch.save({"state_dict": network.state_dict(), "best_acc1": best}, tmp_path / "loop.pt")
    torch.save({"logit_scale": best, **network.state_dict()}, tmp_path / "bare.pt")
    roles = {t.name: t.role for _, t in inspect_path(tmp_path / "loop.pt").tensors()}
    assert roles["best_acc1"] is Role.METADATA
    roles = {t.name: t.role for _, t in inspect_path(tmp_path / "bare.pt").tensors()}
    assert roles["logit_scale"] is Role.WEIGHTS


# --- whose optimizer state ------------------------------------------------------------------


def test_states_of_the_trainer_belong_to_the_parameters_it_gave_the_optimizer(
    made: dict[str, Checkpoint],
) -> None:
    model = model_of("Bert", "ForSequenceClassification", **TEXT)
    decayed = set(transformers.Trainer.get_decay_parameter_names(None, model))
    names = [name for name, _ in model.named_parameters()]
    true = [n for n in names if n in decayed] + [n for n in names if n not in decayed]
    found = owners(made["BERT in training, by the Trainer"], "optimizer.pt")
    assert found == {f"state.{at}": name for at, name in enumerate(true)}
    assert len(found) == 41


def test_states_inside_a_lightning_file_belong_to_its_state_dict(
    made: dict[str, Checkpoint],
) -> None:
    found = owners(made["a Lightning checkpoint"], "model.ckpt")
    true = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert found == {
        f"optimizer_states.0.state.{at}": f"state_dict.net.{name}" for at, name in enumerate(true)
    }


def test_states_of_accelerate_belong_to_the_layers(made: dict[str, Checkpoint]) -> None:
    found = owners(made["an accelerate state"], "optimizer.bin")
    true = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert found == {f"state.{at}": name for at, name in enumerate(true)}


def test_target_networks_have_no_optimizer_state(made: dict[str, Checkpoint]) -> None:
    found = owners(made["DQN, by Stable-Baselines3"], "model.zip")
    assert list(found.values()) == [
        f"policy.q_net.q_net.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    ]


def test_each_tensor_of_the_json_form_names_its_parameter(made: dict[str, Checkpoint]) -> None:
    told = describe(made["BERT in training, by the Trainer"])["tensors"]
    named = {tensor["parameter"] for tensor in told if tensor["role"] == "optimizer"}
    assert named == {tensor["name"] for tensor in told if tensor["role"] == "weights"}
    assert {tensor["parameter"] for tensor in told if tensor["role"] == "weights"} == {None}


def test_states_that_fit_no_parameter_are_noted(tmp_path: Path) -> None:
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 4)
    optimizer = torch.optim.AdamW(other.parameters())
    other(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    found = inspect_path(tmp_path)
    assert found.belongs == {}
    assert any("not matched to parameters: state 0" in note for note in found.notes)


# --- parts and resume -----------------------------------------------------------------------


def test_the_parts_are_there_by_evidence(made: dict[str, Checkpoint]) -> None:
    whole = made["BERT in training, by the Trainer"].completeness
    assert whole is not None
    assert whole.present == {
        Part.ARCHITECTURE: "config.json: model_type",
        Part.WEIGHTS: "41 tensors in model.safetensors",
        Part.OPTIMIZER: "123 tensors in optimizer.pt",
        Part.METADATA: "trainer_state.json",
    }
    assert whole.resumable
    assert len(whole.inexact) == 1
    assert "seed of the data order" in whole.inexact[0]


def test_without_random_states_and_schedule_a_resume_is_not_exact(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    source = paths["BERT in training, by the Trainer"]
    for path in source.iterdir():
        if path.name not in ("rng_state.pth", "scheduler.pt"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = inspect_path(tmp_path).completeness
    assert whole is not None
    assert whole.inexact[:2] == ("random states", "learning rate schedule, if there was one")


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ({"optimizer.pt"}, ("optimizer state",)),
        ({"model.safetensors"}, ("weights",)),
        ({"trainer_state.json"}, ("position (epoch or step)",)),
    ],
)
def test_what_a_resume_needs_and_does_not_find_is_missing(
    paths: dict[str, Path], gone: set[str], missing: tuple[str, ...]
) -> None:
    source = paths["BERT in training, by the Trainer"]
    kept = [path for path in source.iterdir() if path.name not in gone]
    whole = inspect_files({p.name: BytesSource(p.read_bytes()) for p in kept}).completeness
    assert whole is not None
    assert not whole.resumable
    assert whole.missing == missing


def test_lightning_stores_no_random_states(made: dict[str, Checkpoint]) -> None:
    whole = made["a Lightning checkpoint"].completeness
    assert whole is not None
    assert whole.resumable
    assert any("random states" in lack for lack in whole.inexact)


def test_training_is_told_with_its_last_loss_and_settings(made: dict[str, Checkpoint]) -> None:
    training = made["BERT in training, by the Trainer"].training
    assert training["global_step"] == 3
    assert 0 < training["loss"] < 5
    assert 0 < training["learning_rate"] < 5e-5
    assert training["args.seed"] == 42
    assert made["a Lightning checkpoint"].training["hyper_parameters.width"] == 4


# --- architecture ---------------------------------------------------------------------------


def test_a_configuration_states_what_the_weights_cannot(made: dict[str, Checkpoint]) -> None:
    stated = made["BERT, by transformers"].architecture
    bare = made["BERT, a bare state dict"].architecture
    assert stated is not None and bare is not None
    assert stated.facts["num_attention_heads"].value == 2
    assert stated.facts["num_attention_heads"].evidence == "config.json: num_attention_heads"
    assert bare.facts["num_attention_heads"].value is None
    assert bare.facts["num_attention_heads"].evidence == CANNOT_BE_KNOWN
    for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"):
        assert stated.facts[key].value == bare.facts[key].value


def test_of_experts_only_those_chosen_are_active(made: dict[str, Checkpoint]) -> None:
    facts = facts_of(made["Mixtral, by transformers"])
    model = model_of("Mixtral", "ForCausalLM", **TEXT, num_key_value_heads=1, num_local_experts=4)
    sizes = {name: tensor.numel() for name, tensor in model.state_dict().items()}
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    assert facts["parameters"] == sum(sizes.values())
    assert facts["active_parameters"] == sum(sizes.values()) - experts // 2
    dense = facts_of(made["GPT-2, by transformers"])
    assert dense["active_parameters"] == dense["parameters"]


def test_a_pipeline_is_told_by_its_parts(made: dict[str, Checkpoint]) -> None:
    found = made["Stable Diffusion, by diffusers"]
    assert found.architecture is not None
    parts = found.architecture.parts
    assert {folder: part.family for folder, part in parts.items()} == {
        "text_encoder": "clip-text",
        "unet": "unet",
        "vae": "vae",
    }
    assert parts["unet"].facts["cross_attention_dim"].value == 16
    assert found.modules is not None
    assert {module.name for module in found.modules.children} == set(parts)


def test_a_configuration_that_contradicts_the_weights_is_noted() -> None:
    state = model_of("Bert", "Model", **TEXT).state_dict()
    weights = BytesSource(safetensors.torch.save(state))

    def notes(config: dict[str, Any]) -> str:
        files = {"config.json": BytesSource(json.dumps(config).encode())}
        return " ".join(inspect_files({**files, "model.safetensors": weights}).notes)

    assert "hidden_size says 32, the weights have 16" in notes(
        {"model_type": "bert", "hidden_size": 32}
    )
    assert "says gpt2, the tensors are named like bert" in notes({"model_type": "gpt2"})
    assert notes({"model_type": "bert", "hidden_size": 16}) == ""
    assert notes({"model_type": "something-new", "hidden_size": 32}) == ""


def test_what_is_set_and_not_learned_is_no_parameter(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 50}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    wide = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 20}
    model = model_of("Bart", "ForConditionalGeneration", **sizes, **heads, **wide)
    model.save_pretrained(tmp_path)
    assert facts_of(inspect_path(tmp_path))["parameters"] == model.num_parameters()


def test_widths_that_differ_inside_a_model_do_not_contradict_its_configuration(
    tmp_path: Path,
) -> None:
    narrow = model_of("Electra", "ForPreTraining", **TEXT, embedding_size=12)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    sparse = model_of("Qwen3Moe", "ForCausalLM", **TEXT, **experts, num_key_value_heads=2)
    for name, model in (("narrow", narrow), ("sparse", sparse)):
        model.save_pretrained(tmp_path / name)
        assert inspect_path(tmp_path / name).notes == ()
        (tmp_path / name / "config.json").unlink()
    assert facts_of(inspect_path(tmp_path / "narrow"))["hidden_size"] == 16
    assert facts_of(inspect_path(tmp_path / "sparse"))["moe_intermediate_size"] == 24


def test_the_classes_of_a_pickled_module_name_the_family(made: dict[str, Checkpoint]) -> None:
    found = made["YOLO in the form of Ultralytics"]
    assert found.architecture is not None
    assert found.architecture.family == "yolo"
    assert found.architecture.class_name == "DetectionModel"
    assert facts_of(found)["num_labels"] == 80
    assert found.modules is not None
    classes = {module.class_name.rpartition(".")[2] for _, module in found.modules.walk()}
    assert {"DetectionModel", "Conv", "C2f", "Detect", "BatchNorm2d"} <= classes


def test_modules_count_what_is_below_them(made: dict[str, Checkpoint]) -> None:
    for found in made.values():
        assert found.modules is not None
        for _, module in found.modules.walk():
            assert module.parameters >= sum(child.parameters for child in module.children)
    root = made["BERT, by transformers"].modules
    total = sum(
        p.numel() for p in model_of("Bert", "ForSequenceClassification", **TEXT).parameters()
    )
    assert root is not None
    assert root.parameters == total


def test_an_unknown_model_still_has_a_tree() -> None:
    state = {f"blocks.{at}.mix.weight": torch.zeros(2, 2) for at in range(12)}
    found = inspect_files({"m.safetensors": BytesSource(safetensors.torch.save(state))})
    assert found.architecture is None
    assert found.modules is not None
    (blocks,) = found.modules.children
    assert [child.name for child in blocks.children] == [str(at) for at in range(12)]


def test_code_that_a_configuration_asks_for_is_named_and_side_files_have_roles() -> None:
    config = {"model_type": "odd", "auto_map": {"AutoModel": "modeling_odd.OddModel"}}
    found = inspect_files(
        {
            "config.json": BytesSource(json.dumps(config).encode()),
            "modeling_odd.py": BytesSource(b"raise SystemExit"),
            "tokenizer.json": BytesSource(b"{}"),
            "notes.xyz": BytesSource(b"?"),
        }
    )
    assert facts_of(found)["auto_map"] == "modeling_odd.OddModel"
    assert found.side_files == {
        "config.json": Role.METADATA,
        "modeling_odd.py": Role.CODE,
        "tokenizer.json": Role.TOKENIZER,
    }


def test_the_command_shows_parts_and_a_tree_with_equal_layers_as_one(
    paths: dict[str, Path],
) -> None:
    target = str(paths["BERT in training, by the Trainer"])
    shown = CliRunner().invoke(app, ["inspect", target, "--tree"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "0-1 ×2" in shown.output  # noqa: RUF001 - the sign that is meant
    assert "resume training" in shown.output
    assert shown.output.count("✓") == 4
    table = CliRunner().invoke(
        app, ["inspect", target, "--filter", "state.0.exp_avg"], env={"COLUMNS": "200"}
    )
    assert "bert.embeddings.word_embeddings.weight" in table.output
