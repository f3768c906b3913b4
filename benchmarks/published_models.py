"""Configurations of the models whose training others measured: as published, made here by class."""

from collections.abc import Callable
from typing import Any


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


def sd_unet() -> dict[str, Any]:
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

PHI_3 = llama(hidden_size=3072, intermediate_size=8192, num_hidden_layers=32, vocab_size=32064)
LLAMA_3_2_1B = llama(
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_key_value_heads=8,
    vocab_size=128256,
)
LLAMA_3_2_3B = llama(
    hidden_size=3072,
    intermediate_size=8192,
    num_hidden_layers=28,
    num_attention_heads=24,
    num_key_value_heads=8,
    vocab_size=128256,
)
FALCON_7B = _made(
    *("Falcon", "ForCausalLM"),
    hidden_size=4544,
    num_hidden_layers=32,
    num_attention_heads=71,
    vocab_size=65024,
    tie_word_embeddings=False,
)
GEMMA = {"vocab_size": 256000, "head_dim": 256, "tie_word_embeddings": False}
GEMMA_2B = _made(
    *("Gemma", "ForCausalLM"),
    **GEMMA,
    hidden_size=2048,
    intermediate_size=16384,
    num_hidden_layers=18,
    num_attention_heads=8,
    num_key_value_heads=1,
)
GEMMA_7B = _made(
    *("Gemma", "ForCausalLM"),
    **GEMMA,
    hidden_size=3072,
    intermediate_size=24576,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=16,
)
LLAMA_65B = llama(
    hidden_size=8192, intermediate_size=22016, num_hidden_layers=80, num_attention_heads=64
)
GPT2_XL = _made("GPT2", "LMHeadModel", n_embd=1600, n_layer=48, n_head=25)
