"""Peaks of memory that others published, with the settings they were measured under.

Sources, read for this table:
- LitGPT, tutorials/resource-tables.md and config_hub/finetune/README.md with its `*.yaml`, in
  https://github.com/Lightning-AI/litgpt: `torch.cuda.max_memory_allocated() / 1e9`, one GPU.
- PEFT, README.md and examples/conditional_generation in https://github.com/huggingface/peft:
  batches of 8 tweets (their length is not stated: 64 tokens assumed) and labels of 5 tokens,
  adapters with dropout 0.1; megabytes are 2^20 bytes there, gigabytes are taken for 10^9 here.

What LitGPT does otherwise than transformers is set: its own GELU is one kernel
(litgpt/model.py), LoRA's dropout is 0.05, and `full.yaml` gathers the gradients of 8 batches.

`gradients kept`: torch before 2.0 (March 2023, a month after PEFT's table) left gradients in place
from step to step. That was set after seeing that a row without it is far too low, so the row with
it is no blind test; both are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cairn.estimation.plan import Attention, Method, Plan, Precision
from cairn.estimation.subject import Subject


@dataclass(frozen=True)
class Published:
    """One published peak, in 10^9 bytes."""

    name: str
    settings: str
    gb: float
    config: Callable[[], dict[str, Any]]
    plan: Plan
    resident: int = 0

    def subject(self) -> Subject:
        from benchmarks.estimates import subject_of

        return subject_of(self.config(), self.resident)


def llama(**config: Any) -> Callable[[], dict[str, Any]]:
    return _made(
        "Llama", "ForCausalLM", **{"vocab_size": 32000, "tie_word_embeddings": False, **config}
    )


def _made(stem: str, task: str, **config: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from benchmarks.estimates import of_transformers

        return of_transformers(stem, task, **config)

    return make


LLAMA_7B = llama(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32)
LLAMA_13B = llama(
    hidden_size=5120, intermediate_size=13824, num_hidden_layers=40, num_attention_heads=40
)
LLAMA_3_8B = llama(
    hidden_size=4096, intermediate_size=14336, num_key_value_heads=8, vocab_size=128256
)
MISTRAL = llama(hidden_size=4096, intermediate_size=14336, num_key_value_heads=8)
TINY_LLAMA = llama(
    hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_key_value_heads=4
)
PHI = {"hidden_act": "gelu_pytorch_tanh", "vocab_size": 51200}
PHI_1_5 = _made("Phi", "ForCausalLM", **PHI, num_hidden_layers=24)
PHI_2 = _made(
    *("Phi", "ForCausalLM"), **PHI, hidden_size=2560, intermediate_size=10240, num_hidden_layers=32
)
STABLELM = _made(
    *("GPTNeoX", "ForCausalLM"),
    hidden_size=4096,
    num_hidden_layers=16,
    num_attention_heads=32,
    intermediate_size=16384,
    vocab_size=50688,
)
T0_3B = _made(
    *("T5", "ForConditionalGeneration"),
    d_model=2048,
    d_ff=5120,
    num_layers=24,
    num_heads=32,
    vocab_size=32128,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
    decoder_start_token_id=0,
)
MT0_XXL = _made(
    *("MT5", "ForConditionalGeneration"),
    d_model=4096,
    d_ff=10240,
    num_layers=24,
    num_heads=64,
    vocab_size=250112,
    d_kv=64,
    tie_word_embeddings=False,
    decoder_start_token_id=0,
)


def _sd() -> dict[str, Any]:
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
    }


# CLIP's text model and the VAE, frozen beside the UNet.
SD_RESIDENT = 123_060_480 + 83_653_863


def litgpt(
    name: str,
    config: Callable[[], dict[str, Any]],
    batch: int,
    seq: int,
    gb: float,
    method: Method = Method.LORA,
    rank: int = 8,
    accumulation: int = 1,
) -> Published:
    plan = Plan(
        method,
        batch,
        seq,
        precision=Precision.BF16,
        rank=rank,
        adapter_dropout=0.05 if method.adapts else 0.0,
        accumulation=accumulation,
    )
    return Published(name, f"{method.value} r{rank}, bf16, b{batch} s{seq}", gb, config, plan)


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
ROWS = (
    litgpt("LitGPT table, Llama 2 7B", LLAMA_7B, 1, 1304, 21.30),
    litgpt("LitGPT table, Llama 2 7B", LLAMA_7B, 2, 1304, 29.07),
    litgpt("LitGPT table, Llama 2 13B", LLAMA_13B, 1, 1304, 38.12),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 1, 1044, 4.82),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 2, 1044, 6.76),
    litgpt("LitGPT table, phi-1.5", PHI_1_5, 4, 1044, 10.68),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 1, 1034, 9.69),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 2, 1034, 12.10),
    litgpt("LitGPT table, StableLM alpha 3B", STABLELM, 4, 1034, 16.92),
    litgpt("LitGPT table, Llama 2 7B, nf4", LLAMA_7B, 1, 1304, 14.14, Q),
    litgpt("LitGPT table, Llama 2 13B, nf4", LLAMA_13B, 1, 1304, 23.14, Q),
    litgpt("LitGPT table, phi-1.5, nf4", PHI_1_5, 1, 1044, 3.78, Q),
    litgpt("LitGPT table, StableLM alpha 3B, nf4", STABLELM, 1, 1034, 6.35, Q),
    litgpt("LitGPT configs, Llama 2 7B", LLAMA_7B, 2, 512, 19.77, rank=32),
    litgpt("LitGPT configs, Llama 3 8B", LLAMA_3_8B, 1, 512, 19.73, rank=32),
    litgpt("LitGPT configs, Mistral 7B", MISTRAL, 2, 512, 20.66, rank=32),
    litgpt("LitGPT configs, StableLM alpha 3B", STABLELM, 1, 512, 8.58, rank=32),
    litgpt("LitGPT configs, TinyLlama full", TINY_LLAMA, 4, 512, 14.10, Method.FULL, 8, 8),
    litgpt("LitGPT configs, Llama 2 7B, nf4", LLAMA_7B, 2, 512, 13.68, Q, 32),
    peft("PEFT README, T0-3B", T0_3B, 47.14, Method.FULL),
    peft("PEFT README, T0-3B", T0_3B, 47.14, Method.FULL, keeps_gradients=True),
    peft("PEFT README, T0-3B", T0_3B, 14.4, Method.LORA),
    peft("PEFT README, mt0-xxl 12B", MT0_XXL, 56.0, Method.LORA),
    peft(
        "PEFT README, Stable Diffusion 1.4", _sd, 27.5, Method.FULL, batch=2, resident=SD_RESIDENT
    ),
    peft(
        "PEFT README, Stable Diffusion 1.4",
        _sd,
        27.5,
        Method.FULL,
        keeps_gradients=True,
        batch=2,
        resident=SD_RESIDENT,
    ),
    peft(
        "PEFT README, Stable Diffusion 1.4", _sd, 15.5, Method.LORA, batch=2, resident=SD_RESIDENT
    ),
    peft(
        *("PEFT README, Stable Diffusion 1.4", _sd, 8.12, Method.LORA),
        batch=2,
        resident=SD_RESIDENT,
        checkpointing=True,
    ),
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


LLAMA_65B = llama(
    hidden_size=8192, intermediate_size=22016, num_hidden_layers=80, num_attention_heads=64
)
GPT2_XL = _made("GPT2", "LMHeadModel", n_embd=1600, n_layer=48, n_head=25)
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
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
