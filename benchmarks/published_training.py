"""Peaks of memory that others published, with the settings they were measured under.

Sources, read for this table:
- LitGPT, tutorials/resource-tables.md and config_hub/finetune/README.md with its `*.yaml`, in
  https://github.com/Lightning-AI/litgpt: `torch.cuda.max_memory_allocated() / 1e9`, one GPU.
- PEFT, README.md and examples/conditional_generation in https://github.com/huggingface/peft:
  batches of 8 tweets (their length is not stated: 64 tokens assumed) and labels of 5 tokens,
  adapters with dropout 0.1; megabytes are 2^20 bytes there, gigabytes are taken for 10^9 here.

What LitGPT does otherwise than transformers is set: its own GELU is one kernel
(litgpt/model.py), LoRA's dropout is 0.05, `full.yaml` gathers the gradients of 8 batches, no output
layer is tied, and with `bnb.nf4` that layer is in 4 bits too (Lightning's BitsandbytesPrecision).

Inputs kept under `nf4`: the table was made with bitsandbytes 0.41.1 and the configurations with
0.42, which both keep the input of each 4-bit product (`ctx.tensors = (A, B)` in MatMul4Bit; mended
in 0.43.2, https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1270). Not being saved
tensors these stay until the graph goes, and LitGPT's loop holds the last `loss` while the next
forward pass runs: a second copy where one long batch follows another, as with the configurations'
512 tokens. In the table only the first batch is the longest one (`longest_seq_ix`): one copy.

`gradients kept`: torch before 2.0 (March 2023, a month after PEFT's table) left gradients in place
from step to step. That was set after seeing that a row without it is far too low, so the row with
it is no blind test; both are shown.

`SEEN` are rows that were looked at while the walks were written. `KEPT_BACK` were first compared
when all of the above stood. Left out of both: what ran on 4 GPUs; Gemma 2, whose attention is
written out and whose scores are capped; and `full` of Llama 3.2 and Phi-3, which are published
with less than their weights, gradients and AdamW's numbers take together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.published_models import (
    FALCON_7B,
    GEMMA_2B,
    GEMMA_7B,
    GPT2_XL,
    LLAMA_3_2_1B,
    LLAMA_3_2_3B,
    LLAMA_3_8B,
    LLAMA_7B,
    LLAMA_13B,
    LLAMA_65B,
    MISTRAL,
    MT0_XXL,
    PHI_1_5,
    PHI_2,
    PHI_3,
    SD_RESIDENT,
    STABLELM,
    T0_3B,
    TINY_LLAMA,
    sd_unet,
)
from cairn.estimation.plan import Attention, Method, Plan, Precision
from cairn.estimation.subject import Subject

Config = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Published:
    """One published peak, in 10^9 bytes."""

    name: str
    settings: str
    gb: float
    config: Config
    plan: Plan
    resident: int = 0

    def subject(self) -> Subject:
        from benchmarks.estimates import subject_of

        return subject_of(self.config(), self.resident)

    def reckoned_bytes(self) -> float:
        """What the fast mode says of it."""
        from benchmarks.estimates import reckon

        return reckon(self.subject(), self.plan).memory.tensors


ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ALL_LINEAR_PHI = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")


def litgpt(
    name: str,
    config: Config,
    batch: int,
    seq: int,
    gb: float,
    method: Method = Method.LORA,
    *,
    rank: int = 8,
    accumulation: int = 1,
    kept_inputs: int = 0,
    targets: tuple[str, ...] = (),
    dropout: float = 0.05,
    double_quant: bool = False,
) -> Published:
    plan = Plan(
        method,
        batch,
        seq,
        precision=Precision.BF16,
        rank=rank,
        adapter_dropout=dropout if method.adapts else 0.0,
        accumulation=accumulation,
        targets=targets,
        kept_inputs=kept_inputs,
        double_quant=double_quant,
        quantised_head=method is Method.QLORA,
    )
    words = f"{method.value} r{rank}" if method.adapts else method.value
    words += (" of all layers" if targets else "") + f", bf16, b{batch} s{seq}"
    return Published(name, words, gb, config, plan)


def table_nf4(
    name: str, config: Config, seq: int, gb: float, *, double_quant: bool = False
) -> Published:
    """A row of the resource table in 4 bits: rank 8, batch 1, bitsandbytes 0.41.1."""
    kind = "nf4-dq" if double_quant else "nf4"
    return litgpt(
        *(f"LitGPT table, {name}, {kind}", config, 1, seq, gb, Q),
        kept_inputs=1,
        double_quant=double_quant,
    )


def config_nf4(name: str, config: Config, batch: int, gb: float, **more: Any) -> Published:
    """A configuration in 4 bits: 512 tokens, bitsandbytes 0.42."""
    settings = {"rank": 32, "kept_inputs": 2, **more}
    return litgpt(f"LitGPT configs, {name}, nf4", config, batch, 512, gb, Q, **settings)


def peft(
    name: str,
    config: Callable[[], dict[str, Any]],
    gb: float,
    method: Method,
    *,
    batch: int = 8,
    resident: int = 0,
    checkpointing: bool = False,
    keeps_gradients: bool = False,
) -> Published:
    plan = Plan(
        method,
        batch,
        64,
        target_seq=5,
        attention=Attention.EAGER,
        checkpointing=checkpointing,
        accumulation=2 if keeps_gradients else 1,
        adapter_dropout=0.1 if method.adapts and not resident else 0.0,
    )
    words = f"{method.value}, fp32, b{batch}" + (", checkpointing" if checkpointing else "")
    words += ", gradients kept" if keeps_gradients else ""
    return Published(name, words, gb, config, plan, resident)


Q = Method.QLORA
SEEN = (
    litgpt("LitGPT table, Llama 2 7B", LLAMA_7B, 1, 1304, 21.30),
    litgpt("LitGPT table, Llama 2 7B", LLAMA_7B, 2, 1304, 29.07),
    litgpt("LitGPT table, Llama 2 13B", LLAMA_13B, 1, 1304, 38.12),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 1, 1044, 4.82),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 2, 1044, 6.76),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 4, 1044, 10.68),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 1, 1034, 9.69),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 2, 1034, 12.10),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 4, 1034, 16.92),
    table_nf4("Llama 2 7B", LLAMA_7B, 1304, 14.14),
    table_nf4("Llama 2 13B", LLAMA_13B, 1304, 23.14),
    table_nf4("phi-1.5", PHI_1_5, 1044, 3.78),
    table_nf4("StableLM alpha 3B", STABLELM, 1034, 6.35),
    litgpt("LitGPT configs, Llama 2 7B", LLAMA_7B, 2, 512, 19.77, rank=32),
    litgpt("LitGPT configs, Llama 3 8B", LLAMA_3_8B, 1, 512, 19.73, rank=32),
    litgpt("LitGPT configs, Mistral 7B", MISTRAL, 2, 512, 20.66, rank=32),
    litgpt("LitGPT configs, StableLM alpha 3B", STABLELM, 1, 512, 8.58, rank=32),
    litgpt(*("LitGPT configs, TinyLlama", TINY_LLAMA, 4, 512, 14.10, Method.FULL), accumulation=8),
    config_nf4("Llama 2 7B", LLAMA_7B, 2, 13.68),
    config_nf4("Mistral 7B", MISTRAL, 2, 14.29),
    config_nf4("TinyLlama", TINY_LLAMA, 8, 16.24, targets=(*ALL_LINEAR, "lm_head")),
    peft("PEFT README, T0-3B", T0_3B, 47.14, Method.FULL),
    peft("PEFT README, T0-3B", T0_3B, 47.14, Method.FULL, keeps_gradients=True),
    peft("PEFT README, T0-3B", T0_3B, 14.4, Method.LORA),
    peft("PEFT README, mt0-xxl 12B", MT0_XXL, 56.0, Method.LORA),
    peft(
        "PEFT README, Stable Diffusion 1.4",
        sd_unet,
        27.5,
        Method.FULL,
        batch=2,
        resident=SD_RESIDENT,
    ),
    peft(
        "PEFT README, Stable Diffusion 1.4",
        sd_unet,
        27.5,
        Method.FULL,
        keeps_gradients=True,
        batch=2,
        resident=SD_RESIDENT,
    ),
    peft(
        "PEFT README, Stable Diffusion 1.4",
        sd_unet,
        15.5,
        Method.LORA,
        batch=2,
        resident=SD_RESIDENT,
    ),
    peft(
        *("PEFT README, Stable Diffusion 1.4", sd_unet, 8.12, Method.LORA),
        batch=2,
        resident=SD_RESIDENT,
        checkpointing=True,
    ),
)
WITH_HEAD = (*ALL_LINEAR, "lm_head")
WITH_HEAD_PHI = (*ALL_LINEAR_PHI, "lm_head")
KEPT_BACK = (
    table_nf4("Llama 2 7B", LLAMA_7B, 1304, 13.84, double_quant=True),
    table_nf4("Llama 2 13B", LLAMA_13B, 1304, 22.55, double_quant=True),
    table_nf4("phi-1.5", PHI_1_5, 1044, 3.72, double_quant=True),
    table_nf4("StableLM alpha 3B", STABLELM, 1034, 6.19, double_quant=True),
    config_nf4("Falcon 7B", FALCON_7B, 1, 9.44),
    config_nf4("Gemma 2B", GEMMA_2B, 2, 11.58, rank=16, targets=WITH_HEAD, dropout=0.1),
    config_nf4("Gemma 7B", GEMMA_7B, 1, 17.18, rank=16, targets=WITH_HEAD, dropout=0.1),
    config_nf4("Llama 3 8B", LLAMA_3_8B, 2, 17.41),
    config_nf4("Llama 3.2 1B", LLAMA_3_2_1B, 2, 5.53),
    config_nf4("Llama 3.2 3B", LLAMA_3_2_3B, 2, 10.30),
    config_nf4("phi-2", PHI_2, 4, 14.27, rank=8, targets=WITH_HEAD_PHI),
    config_nf4("Phi-3 mini", PHI_3, 4, 19.13, rank=8, targets=WITH_HEAD),
    config_nf4("StableLM alpha 3B", STABLELM, 1, 5.24),
    litgpt("LitGPT configs, Falcon 7B", FALCON_7B, 1, 512, 16.69, rank=32),
    litgpt(*("LitGPT configs, Gemma 2B", GEMMA_2B, 2, 512, 12.62), targets=WITH_HEAD, dropout=0.1),
    litgpt("LitGPT configs, Llama 3.2 1B", LLAMA_3_2_1B, 1, 512, 4.49, rank=32),
    litgpt("LitGPT configs, Llama 3.2 3B", LLAMA_3_2_3B, 1, 512, 9.67, rank=32),
    litgpt("LitGPT configs, phi-2", PHI_2, 4, 512, 13.98, targets=WITH_HEAD_PHI),
    litgpt("LitGPT configs, Phi-3 mini", PHI_3, 4, 512, 19.75, targets=WITH_HEAD),
    litgpt(*("LitGPT configs, TinyLlama", TINY_LLAMA, 8, 512, 13.50), rank=32, targets=WITH_HEAD),
)


@dataclass(frozen=True)
class Claim:
    """A bound that somebody published, in 10^9 bytes; `whole`: of everything, not states alone."""

    name: str
    config: Callable[[], dict[str, Any]]
    plan: Plan
    low_gb: float
    high_gb: float
    whole: bool = True

    def subject(self) -> Subject:
        from benchmarks.estimates import subject_of

        return subject_of(self.config())


CLAIMS = (
    Claim(
        "QLoRA (arXiv 2305.14314): 65B fits into 48 GB",
        LLAMA_65B,
        Plan(Q, 1, 512, precision=Precision.BF16, rank=64, targets=ALL_LINEAR, checkpointing=True),
        *(30.0, 48.0),
    ),
    Claim(
        "the same: full 16-bit fine-tuning of 65B takes more than 780 GB",
        LLAMA_65B,
        Plan(Method.FULL, 1, 512, precision=Precision.AMP, accumulation=2),
        *(780.0, 1200.0),
    ),
    Claim(
        "ZeRO (arXiv 1910.02054): states of GPT-2 1.5B take at least 24 GB",
        GPT2_XL,
        Plan(Method.FULL, 1, 64, precision=Precision.AMP, accumulation=2),
        *(24.0, 26.0, False),
    ),
)
