"""The program that trains, as somebody would start it again."""

import hashlib
import os
import sys
from pathlib import Path

from cairn.domain import Digest, RecipeKind, TrainingRecipe


def recipe_of_this_program(folder: Path, named: str) -> TrainingRecipe:
    """How this process was started; `folder` is that of its run, which the program calls `named`.

    Where no script was, as in a notebook, the recipe says that it was typed in.
    """
    directory = os.path.relpath(Path.cwd(), folder.resolve())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None or not Path(script).is_file():
        return TrainingRecipe(RecipeKind.TYPED_IN, directory=directory, folder=named)
    return TrainingRecipe(
        RecipeKind.SCRIPT,
        program=_from_here(Path(script)),
        digest=Digest.sha256(hashlib.sha256(Path(script).read_bytes()).hexdigest()),
        arguments=tuple(sys.orig_argv[1:]),
        directory=directory,
        folder=named,
    )


def _from_here(script: Path) -> str:
    """The path seen from the working folder; of a script elsewhere the name alone."""
    here = Path.cwd()
    whole = script.absolute()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else whole.name
