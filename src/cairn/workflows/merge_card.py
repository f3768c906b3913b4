"""The lineage of what merging made: a card with Hugging Face's keys, and metadata in the file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from cairn.domain import RepoId, RepoType
from cairn.errors import NamingError

CARD = "README.md"
_FORMAT = "pt"  # without which transformers refuses a file


@dataclass(frozen=True, slots=True)
class Parents:
    """What something was made from: repo ids where they are known, else labels."""

    names: tuple[str, ...]

    @property
    def repos(self) -> list[str]:
        """Those that can be ids of repos, each once."""
        return list(dict.fromkeys(name for name in map(repo_name, self.names) if name))


def repo_name(label: str) -> str:
    """The repo id that a label is, without its revision; empty if it is none."""
    name = label.partition("@")[0]
    try:
        return RepoId.parse(RepoType.MODEL, name).full_name if "/" in name else ""
    except NamingError:
        return ""


def noted(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of a safetensors file: how it came to be."""
    return {"format": _FORMAT, "cairn.recipe": json.dumps(recipe, sort_keys=True)}


def card_of(parents: Parents, relation: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    """A drafted card; `relation` is `merge` or `adapter`.

    Keys: https://huggingface.co/docs/hub/model-cards#specifying-a-base-model.
    """
    front: dict[str, Any] = {}
    if parents.repos:
        front["base_model"] = parents.repos
        front["base_model_relation"] = relation
    front["tags"] = ["merge"] if relation == "merge" else ["lora", "peft"]
    if relation == "adapter":
        front["library_name"] = "peft"
    lines = "\n".join(f"- {key}: `{_said(value)}`" for key, value in recipe.items())
    text = (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# Made by `cairn merge`\n\n{lines}\n"
    )
    return {CARD: text}


def _said(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value.replace("`", "'")
