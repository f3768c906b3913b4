"""`recipe.json`: how a model was fine-tuned, written beside it, and read to do so again.

Its keys are listed in docs/guides/finetune.md.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from cairn.domain.finetuning import FineTuning, Method, Precision, Schedule, TaskName
from cairn.errors import MalformedError, RequestError, UnavailableError
from cairn.formats.strict_json import parse_json
from cairn.workflows.written import replacing

RECIPE = "recipe.json"
FORMAT, VERSION = "cairn-finetune", 1

_ENUMS: dict[str, type[StrEnum]] = {
    "task": TaskName,
    "method": Method,
    "schedule": Schedule,
    "precision": Precision,
}


def recipe_values(recipe: FineTuning) -> dict[str, Any]:
    """A recipe as JSON values, without what is open."""
    said = {name: value for name, value in asdict(recipe).items() if value is not None}
    return {**said, "targets": list(recipe.targets)}


def recipe_of(values: Mapping[str, Any]) -> FineTuning:
    """The recipe of JSON values, or of the options of a command.

    Raises:
        RequestError: one is unknown, missing, or of another type.
    """
    known = {field.name for field in fields(FineTuning)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise RequestError(f"a recipe has no {', '.join(map(repr, unknown))}")
    try:
        typed: dict[str, Any] = {n: _ENUMS[n](v) if n in _ENUMS else v for n, v in values.items()}
        if "targets" in typed:
            typed["targets"] = tuple(typed["targets"])
        return FineTuning(**typed)
    except (TypeError, ValueError) as error:
        raise RequestError(f"no recipe: {error}") from None


def read_recipe(path: Path) -> dict[str, Any]:
    """The values of a recipe's file.

    Raises:
        MalformedError: it is none. UnavailableError: it was written by a newer Cairn.
    """
    recipe = _document(path).get("recipe")
    if not isinstance(recipe, dict):
        raise MalformedError("no recipe in it", source=str(path))
    return recipe


def read_made(path: Path) -> dict[str, Any]:
    """What the recipe was used on, as `write_recipe` has it; empty where nobody used it yet.

    Raises:
        MalformedError, UnavailableError: as `read_recipe`.
    """
    made = _document(path).get("made", {})
    if not isinstance(made, dict) or not isinstance(made.get("base_weights", {}), dict):
        raise MalformedError("`made` in it is of another form", source=str(path))
    return made


def _document(path: Path) -> dict[str, Any]:
    said = parse_json(path.read_bytes(), str(path), what="the recipe")
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise MalformedError("no recipe of a fine-tuning", source=str(path))
    if said.get("version") != VERSION:
        raise UnavailableError(f"{path} is of a newer Cairn: read it with that")
    return said


def write_recipe(path: Path, recipe: FineTuning, made: Mapping[str, Any]) -> None:
    """Write a recipe; `made` says what it was used on: revisions, digests, versions."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recipe": recipe_values(recipe),
        "made": dict(made),
    }
    with replacing(path) as draft:
        draft.write((json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names of values that differ between two recipes, as options are spelled."""
    names = dict.fromkeys((*one, *other))
    return [name.replace("_", "-") for name in names if one.get(name) != other.get(name)]
