"""What is otherwise now than when a run was started: program, source, data, machine, libraries.

Read without starting anything. Threads and flags are up to the program, which compares them
when it resumes.
"""

import hashlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cairn.domain import RecipeKind, RunRecord, TrainingSession
from cairn.domain.runs import Setting
from cairn.provenance.code_revision import code_revision
from cairn.provenance.content import content_bytes, content_digest
from cairn.provenance.machine import LIBRARIES, library_version, processor, system


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that was otherwise: its name, then and now."""

    name: str
    was: Setting
    now: Setting

    def __str__(self) -> str:
        was, now = ("not there" if one is None else one for one in (self.was, self.now))
        return f"{self.name} was {was} and is {now}"


def changed(
    run: RunRecord,
    session: TrainingSession,
    directory: Path,
    *,
    most_data_bytes: float = float("inf"),
) -> tuple[Changed, ...]:
    """What differs between a session of a run and a start in this working folder now.

    Only of a run that may be executed: files are read wherever its record says, and git is asked
    in the folder of its program, which may have git run programs. Larger data are not read.
    """
    data = _data(run, directory, most_data_bytes)
    pairs = (*_program(session, directory), *data, *_machine(session))
    return tuple(Changed(name, was, now) for name, was, now in pairs if was != now)


def _program(session: TrainingSession, directory: Path) -> Iterator[tuple[str, Setting, Setting]]:
    recipe = session.recipe
    if recipe.kind is not RecipeKind.SCRIPT:
        return
    script = directory / recipe.program
    if recipe.digest is not None:
        yield "program", str(recipe.digest), _digest(script)
    if script.is_file():
        yield "code", session.environment.get("code"), code_revision(script.parent)


def _digest(path: Path) -> str | None:
    try:
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError:
        return None


def _data(
    run: RunRecord, directory: Path, most_bytes: float
) -> Iterator[tuple[str, Setting, Setting]]:
    """Data that lie on this machine and have a name that is computed from their content.

    Built-in recipes look at folders themselves: they may take some of the files.
    """
    looks_itself = run.recipe.kind is RecipeKind.BUILTIN
    for one in run.data:
        path = directory / one.where
        is_there = path.is_file() if looks_itself else path.exists()
        is_named = one.digest is not None and one.digest.startswith("sha256:")
        if is_named and is_there and content_bytes(path) <= most_bytes:
            yield f"data {one.where}", one.digest, content_digest(path)


def _machine(session: TrainingSession) -> Iterator[tuple[str, Setting, Setting]]:
    was = session.environment
    now: dict[str, Setting] = {
        "python": platform.python_version(),
        "platform": system(),
        "cpu": processor(),
        **{name: library_version(name) for name in ("torch", "numpy", *LIBRARIES)},
    }
    for name, value in now.items():
        if name in was:
            yield name, was[name], value
