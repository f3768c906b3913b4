"""The modules of a model that a task brings: those above its body, and those that a base lacks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class Heads:
    """Names of modules: all that a task brings, and those of them that are made anew."""

    names: Sequence[str] = ()
    fresh: Sequence[str] = ()


def heads_of(model: nn.Module, missing: Iterable[str]) -> Heads:
    """The heads of a model of transformers; `missing` are parameters that its base lacks."""
    body = getattr(model, "base_model_prefix", "")
    if hasattr(model, body):
        above = [n for n, child in model.named_children() if n != body and _has_parameters(child)]
    else:  # T5 has none inside another; a bare body has no head
        output: Any = getattr(model, "get_output_embeddings", lambda: None)()
        above = [name for name, child in model.named_children() if child is output]
    owners = [name.rpartition(".")[0] for name in missing]
    fresh = [next((one for one in above if is_in(name, one)), name) for name in owners if name]
    return Heads(tuple(dict.fromkeys((*above, *fresh))), tuple(dict.fromkeys(fresh)))


def is_in(name: str, module: str) -> bool:
    """Whether a module or parameter is a module or inside it."""
    return name == module or name.startswith(f"{module}.")


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
