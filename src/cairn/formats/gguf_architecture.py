"""What the keys of a GGUF file say about the model, in the words of HF configurations.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#standardized-key-value-pairs.
"""

from collections.abc import Iterator, Mapping

from cairn.domain import Architecture, Fact, Scalar
from cairn.formats.gguf_values import GgufArray, GgufValue
from cairn.formats.limits import MAX_METADATA_KEY_CHARS
from cairn.formats.naming import printable

_ARCHITECTURE = "general.architecture"
_TOKENS = "tokenizer.ggml.tokens"
_FACTS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
}


def architecture_of(values: Mapping[str, GgufValue]) -> Architecture | None:
    """The architecture that the keys name; None where they name none."""
    family = values.get(_ARCHITECTURE)
    if not isinstance(family, str) or not family:
        return None
    prefix = f"{family}."
    return Architecture(
        family=printable(family.lower(), MAX_METADATA_KEY_CHARS),
        class_name=None,
        evidence=f"GGUF key {_ARCHITECTURE}",
        config=dict(_plain(values, prefix)),
        facts=dict(_facts(values, prefix)),
    )


def _plain(values: Mapping[str, GgufValue], prefix: str) -> Iterator[tuple[str, Scalar]]:
    for key, value in values.items():
        if key.startswith(prefix) and not isinstance(value, GgufArray):
            yield printable(key.removeprefix(prefix), MAX_METADATA_KEY_CHARS), value


def _facts(values: Mapping[str, GgufValue], prefix: str) -> Iterator[tuple[str, Fact]]:
    for suffix, name in _FACTS.items():
        key = prefix + suffix
        value = values.get(key)
        if isinstance(value, GgufArray):
            yield name, Fact(None, f"GGUF key {key} differs from layer to layer")
        elif value is not None:
            yield name, Fact(value, f"GGUF key {key}")
    tokens = values.get(_TOKENS)
    if isinstance(tokens, GgufArray) and f"{prefix}vocab_size" not in values:
        yield "vocab_size", Fact(tokens.count, f"length of GGUF key {_TOKENS}")
