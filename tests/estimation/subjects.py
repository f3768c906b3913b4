"""Subjects for tests: of real classes on the meta device, or written out by their shapes."""

from collections.abc import Callable, Mapping
from typing import Any

from cairn.estimation.subject import Shape, Subject
from cairn.formats.declared_facts import declared_facts

LAYERS, WIDTH, WIDE, WORDS = 3, 64, 160, 500


def subject_of_model(model: Any, family: str) -> Subject:
    """What a checkpoint of this model would tell."""
    config = dict(model.config) if isinstance(model.config, Mapping) else model.config.to_dict()
    return Subject(
        family,
        {name: tuple(p.shape) for name, p in model.named_parameters()},
        {key: fact.value for key, fact in declared_facts(config, "config.json").items()},
        config,
        type(model).__name__,
    )


def decoder(
    layers: int = LAYERS, width: int = WIDTH, wide: int = WIDE, words: int = WORDS
) -> Subject:
    """Like Llama, without a configuration."""
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (words, width)}
    for at in range(layers):
        prefix = f"model.layers.{at}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"{prefix}self_attn.{name}.weight"] = (width, width)
        for name in ("gate_proj", "up_proj"):
            shapes[f"{prefix}mlp.{name}.weight"] = (wide, width)
        shapes[f"{prefix}mlp.down_proj.weight"] = (width, wide)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = (width,)
    shapes |= {"model.norm.weight": (width,), "lm_head.weight": (words, width)}
    facts = {"vocab_size": words, "hidden_size": width, "num_attention_heads": 4}
    return Subject("llama-like", shapes, facts, {"tie_word_embeddings": False})


def tiny(stem: str, task: str, **config: Any) -> Callable[[], Any]:
    """A model of transformers, made when it is asked for."""

    def make() -> Any:
        import transformers

        made = getattr(transformers, f"{stem}Config")(**config)
        model = getattr(transformers, f"{stem}{task}")(made)
        model.set_attn_implementation("eager")  # whose operations torch's counter knows
        return model

    return make
