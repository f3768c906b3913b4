"""Exact estimates: what runs on fake tensors takes what real ones take, byte for byte."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cairn.errors import RequestError, UnavailableError
from cairn.estimation.memory import memory
from cairn.estimation.plan import Method, Optimizer, Plan
from cairn.estimation.walking import Walker
from cairn.training.exact.batches import batch_for, loss_of
from cairn.training.exact.four_bits import four_bit_layers, scales_of
from cairn.training.exact.live_storages import Kind, LiveStorages
from cairn.training.exact.models import materialise, model_of
from cairn.training.exact.optimizers import bitsandbytes, optimizer_for
from cairn.training.exact.steps import run_plan, to_train
from cairn.workflows.estimate_description import describe_plan
from cairn.workflows.exact_estimate import ask, estimate_exactly
from cairn.workflows.inspect import read_path

PLAN = {**describe_plan(Plan(batch=2, seq=16)), "targets": [], "on_cpu": True}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    import transformers

    made = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=60, bos_token_id=1, eos_token_id=2
    ).to_dict()
    return {**made, "architectures": ["GPT2LMHeadModel"]}


def really(config: dict[str, Any], plan: dict[str, Any] = PLAN) -> LiveStorages:
    """Two steps with memory; bitsandbytes itself makes the codes of what is in 4 bits."""
    model = to_train(model_of(config, "sdpa"), plan)
    materialise(model, nullcontext())
    model.train()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01 if tensor.is_floating_point() else 1)
    for module in four_bit_layers(model):
        codes = bitsandbytes().nn.Params4bit(
            module.weight.data,
            requires_grad=False,
            compress_statistics=plan["double_quant"],
            quant_type="nf4",
            module=module,
        )
        module.weight = codes.to("cpu")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_for(plan["optimizer"], trained)
    base = getattr(model, "get_base_model", lambda: model)()
    live = LiveStorages()
    with live:
        live.mark((*model.parameters(), *model.buffers(), *scales_of(model)), Kind.WEIGHTS)
        for _ in range(2):
            live.start_peak()
            loss_of(model, batch_for(base, plan)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
    return live


def test_fake_tensors_take_what_real_ones_take(config: dict[str, Any]) -> None:
    told = run_plan(config, PLAN)
    assert told["peak_bytes"] == pytest.approx(really(config).peak_bytes, rel=0.001)
    assert sum(told["parts"].values()) == told["peak_bytes"]
    parameters = told["parameters"]
    assert told["parts"]["weights"] == 4 * parameters and told["trained"] == parameters
    # The count of steps, one number for each parameter tensor, is beside the two averages.
    assert told["parts"]["optimizer"] == pytest.approx(8 * parameters, rel=0.01)


def test_what_is_alive_is_told_by_part_and_forgotten_when_it_dies() -> None:
    live = LiveStorages(lambda shape: shape[-1:] == (7,))
    with live:
        kept = torch.ones(8)
        live.mark([kept], Kind.WEIGHTS)
        for _ in range(3):
            torch.ones(16) + 1
        scores = torch.zeros(2, 7)
    # The ones and their sum are there together, and gone before the scores come.
    assert live.at_peak == {Kind.WEIGHTS: 32, Kind.ACTIVATIONS: 2 * 64}
    assert live.peak_bytes == 32 + 2 * 64
    del kept
    live.start_peak()
    assert live.peak_bytes == scores.numel() * 4


@pytest.mark.parametrize(
    "change",
    [
        {"method": "qlora", "targets": ["c_attn"]},
        {"method": "qlora", "targets": ["c_attn"], "double_quant": True},
        {"optimizer": "adamw8bit"},
        {"optimizer": "adafactor"},
    ],
)
def test_what_other_libraries_keep_is_what_their_own_code_allocates(
    config: dict[str, Any], change: dict[str, Any]
) -> None:
    if "adafactor" not in change.values():
        pytest.importorskip("bitsandbytes")
    plan = {**PLAN, **change}
    told = run_plan(config, plan)
    tables = 2 * 256 * 4  # of numbers that 8-bit codes stand for, which are made beforehand
    peak = really(config, plan).peak_bytes
    assert told["peak_bytes"] == pytest.approx(peak, rel=0.001, abs=1.5 * tables)
    weights = 4 * told["parameters"]
    if change.get("method") == "qlora":
        assert told["parts"]["weights"] < 0.95 * weights  # most of so small a model is embeddings
    else:
        # AdamW's take twice the weights; what has less than 4,096 elements stays in 32 bits.
        assert told["parts"]["optimizer"] < 1.2 * weights


@pytest.mark.slow
def test_an_adapter_trains_its_own_parameters_alone(config: dict[str, Any]) -> None:
    plan = {**PLAN, "method": "lora", "rank": 2, "targets": ["c_attn"]}
    told = run_plan(config, plan)
    assert told["trained"] == 2 * 2 * (16 + 48)
    assert told["parts"]["optimizer"] < 1.1 * 8 * told["trained"] + 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "lora", "targets": ["nothing"]}, "no module of GPT2LMHeadModel is called"),
    ],
)
def test_what_cannot_be_run_is_refused(
    config: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        run_plan(config, {**PLAN, **change})


@pytest.mark.parametrize("name", ["MyOwnModel", "pipeline", "PreTrainedConfig", None])
def test_no_class_but_a_model_of_the_library_is_made(config: dict[str, Any], name: object) -> None:
    with pytest.raises(RequestError, match="never run"):
        model_of({**config, "architectures": [name], "auto_map": {"AutoModel": "x.Y"}}, "sdpa")


@pytest.fixture(scope="module")
def folder(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpt2")
    import transformers

    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config))
    shapes = {n: p.detach().clone() for n, p in model.named_parameters()}
    save_file(shapes, made / "model.safetensors")
    (made / "config.json").write_text(json.dumps(config))
    return made


def test_a_process_of_its_own_answers_for_a_checkpoint_and_imports_nothing_beside_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_path(folder)
    for name in ("torch", "transformers", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger is imported')")
    monkeypatch.chdir(tmp_path)
    plan = Plan(batch=2, seq=16, on_cpu=True)
    exactly = estimate_exactly(found, plan)
    from cairn.workflows.estimate import subject_of

    fast = memory(Walker(subject_of(found.checkpoint)), plan)
    assert exactly.peak_bytes == pytest.approx(fast.tensors, rel=0.1)
    assert exactly.process_bytes > 50_000_000


def test_a_checkpoint_without_a_configuration_is_refused(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "model.safetensors"
    alone.write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(RequestError, match=r"config\.json, which is not there"):
        estimate_exactly(read_path(alone), Plan())


def test_a_process_that_takes_too_long_is_ended(config: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError, match="ended after 0 s"):
        ask(config, PLAN, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [Optimizer.SGD, Optimizer.ADAMW])
@pytest.mark.parametrize("method", [Method.FULL, Method.LAST_LAYER])
def test_other_optimizers_and_methods_run(
    config: dict[str, Any], method: Method, optimizer: Optimizer
) -> None:
    plan = {**PLAN, "method": method.value, "optimizer": optimizer.value, "checkpointing": True}
    told = run_plan(config, plan)
    numbers = 1 if optimizer is Optimizer.SGD else 2
    assert told["parts"]["optimizer"] == pytest.approx(4 * numbers * told["trained"], rel=0.02)
