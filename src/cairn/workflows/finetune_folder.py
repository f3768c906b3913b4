"""The folder of a fine-tuning: what it says of base, recipe and command, and whether it goes on."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import cairn
from cairn.domain import Digest, RecipeKind, TrainingRecipe
from cairn.errors import ConflictError
from cairn.workflows.finetune_agent import agent_file
from cairn.workflows.finetune_recipe import (
    RECIPE,
    differences,
    read_made,
    read_recipe,
    recipe_values,
    write_recipe,
)
from cairn.workflows.finetune_work import RUN, Work

_LIBRARIES = ("torch", "transformers", "peft")


def check_place(work: Work) -> None:
    """Refuse a folder that no fine-tuning began.

    Raises:
        ConflictError: it has other files.
    """
    out = work.out
    if not (out / RECIPE).is_file() and out.is_dir() and any(out.iterdir()):
        raise ConflictError(f"{out} holds other files: name an empty folder with --out")


def check_folder(work: Work) -> None:
    """Refuse a folder that holds something else.

    Raises:
        ConflictError: it is of another recipe or base.
    """
    kept = work.out / RECIPE
    if not kept.is_file():
        return
    other = differences(recipe_values(work.recipe), read_recipe(kept))
    if other:
        raise ConflictError(
            f"{work.out} is of a recipe with another {', '.join(other)}:"
            " name another folder with --out, or give the same options"
        )
    _check_base(work, read_made(kept))


def _check_base(work: Work, made: Mapping[str, Any]) -> None:
    """Refuse to go on with another base: what was learnt beside the one does not fit the other."""
    then = made.get("base_weights", {})
    now = {path: str(digest) for path, digest in weights_of(work.base.path)}
    changed = [path for path in sorted({*then, *now}) if then.get(path) != now.get(path)]
    if not then or not changed:
        return
    others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    why, way = "", ""
    if work.base.repo is not None:
        why = f" (commit {made.get('base_revision')} then, {work.base.revision} now)"
        way = f", or go on from the commit of then: --recipe {work.out / RECIPE} without BASE"
    raise ConflictError(
        f"{work.out} was begun with other weights of {work.base.called}: {changed[0]}{others}"
        f" differ{why}: name another folder with --out{way}"
    )


def begin_folder(work: Work, weights: Mapping[str, Digest], data_digest: str) -> None:
    """Make the folder and write the recipe into it; `weights` are those of the base."""
    work.out.mkdir(parents=True, exist_ok=True)
    write_recipe(work.out / RECIPE, work.recipe, _made(work, weights, data_digest))


def command_of(work: Work) -> TrainingRecipe:
    """The command that goes on with the run, from the folder where it was first given."""
    run = work.out / RUN
    return TrainingRecipe(
        RecipeKind.BUILTIN,
        program="finetune",
        arguments=(
            *("finetune", "--recipe", str(work.out / RECIPE), "--out", str(work.out)),
            *(("--hub", work.hub) if work.hub else ()),
            *(("--data-dir", str(work.data_dir)) if work.data_dir else ()),
            *(("--device", work.device) if work.device != "auto" else ()),
        ),
        directory=os.path.relpath(Path.cwd(), run.resolve()),
        folder=str(run),
    )


def _made(work: Work, weights: Mapping[str, Digest], data_digest: str) -> dict[str, Any]:
    return {
        "base": work.base.called,
        "base_revision": work.base.revision,
        "base_weights": {path: str(digest) for path, digest in weights.items()},
        "data": work.data.called,
        "data_revision": work.data.revision,
        "eval_data_revision": work.eval_data.revision if work.eval_data else None,
        "data_digest": data_digest,
        "versions": dict(_versions()),
    }


def weights_of(base: Path) -> Iterator[tuple[str, Digest]]:
    """The SHA-256 of every file with weights: lineage that does not depend on names."""
    agent = agent_file(base)
    for path in [agent] if agent else sorted(base.rglob("*.safetensors")):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = path.name if agent else path.relative_to(base).as_posix()
        yield name, Digest.sha256(digest)


def _versions() -> Iterator[tuple[str, str]]:
    yield "cairn", cairn.__version__
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # agents need no peft
            yield name, metadata.version(name)
