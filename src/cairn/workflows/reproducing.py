"""The verb reproduce: train again as a record says, and hold the second run against the first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite, isnan
from pathlib import Path

from cairn.domain import RecipeKind, RunRecord, TrainingSession
from cairn.errors import ConflictError, RequestError
from cairn.workflows.kept_runs import KeptRun, KeptStep
from cairn.workflows.local_runs import local_run
from cairn.workflows.run_comparison import Parting, parting
from cairn.workflows.run_restart import Start, start_of
from cairn.workflows.tensor_distance import Distance, distance

DEFAULT_TOLERANCE = 1e-4
BINDING = ("program", "code")
"""What has to be the same, with all data: other machines and libraries are told and tried."""

# Random numbers of the process: those of libraries that nobody seeded and nobody drew from are
# others each time, and what was drawn shows in the losses.
_RANDOM = "random."
# Of built-in recipes: the option that says where they write, and where the run is below that.
_OUTPUTS = {"finetune": ("--out", "run")}


class Outcome(StrEnum):
    """How a second run stands to the first: the same to the bit, nearly, or another."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "equal within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class CurveCheck:
    """How one metric of the second run goes beside that of the first.

    `missing` counts steps of the first that the second does not have. `first_apart` is the step
    from which the difference is beyond the tolerance, None where it never is.
    """

    name: str
    parting: Parting
    missing: int
    first_apart: int | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A run, what was trained again, and how they compare; `tensors` by file of the last step.

    `until` is the last step that counts, None where all do.
    """

    original: KeptRun
    again: KeptRun
    tolerance: float
    curves: Sequence[CurveCheck]
    step: int | None
    tensors: Sequence[Distance]
    until: int | None = None

    @property
    def outcome(self) -> Outcome:
        """Nothing to compare counts as different."""
        curves, tensors = self.curves, self.tensors
        if not curves and not tensors:
            return Outcome.DIFFERENT
        if any(one.missing or one.first_apart is not None for one in curves):
            return Outcome.DIFFERENT
        if any(one.largest is None or one.largest > self.tolerance for one in tensors):
            return Outcome.DIFFERENT
        is_same = all(one.parting.first_step is None for one in curves)
        if is_same and all(one.is_same for one in tensors):
            return Outcome.IDENTICAL
        return Outcome.WITHIN_TOLERANCE

    @property
    def first_step(self) -> int | None:
        """The first step whose numbers are not the same to the bit; None where all are."""
        steps = [one.parting.first_step for one in self.curves]
        return min((step for step in steps if step is not None), default=None)

    @property
    def first_apart(self) -> int | None:
        """The first step whose numbers differ beyond the tolerance; None where none do."""
        steps = [one.first_apart for one in self.curves]
        return min((step for step in steps if step is not None), default=None)


def session_to_repeat(run: RunRecord) -> TrainingSession:
    """The session that began the run as it is; those after it went on.

    Raises:
        ConflictError: the run went on by another command, so no one command makes it.
    """
    began = max(n for n, one in enumerate(run.sessions) if one.from_step is None or n == 0)
    first, *later = run.sessions[began:]
    for one in later:
        if _command(one) != _command(first):
            raise ConflictError(
                f"the run went on from step {one.from_step} by another command"
                f" ({' '.join(one.recipe.arguments)}): no one command makes it"
            )
    return first


def _command(session: TrainingSession) -> object:
    recipe = session.recipe
    return recipe.kind, recipe.program, recipe.digest, tuple(recipe.arguments)


def start_again(
    session: TrainingSession, directory: Path, into: Path, until: int | None = None
) -> tuple[Start, Path]:
    """How the run is trained again, and the folder in which it then is; errors as `start_of`.

    It ends after step `until`, if one is given.

    Raises:
        ConflictError: `into` holds something.
    """
    if into.exists() and any(into.iterdir()):
        raise ConflictError(f"{into} holds something: name an empty folder with --into")
    recipe = session.recipe
    output = _OUTPUTS.get(recipe.program) if recipe.kind is RecipeKind.BUILTIN else None
    if output is None:
        return start_of(session, directory, into=into, until=until), into
    option, below = output
    arguments = (*recipe.arguments, option, str(into.resolve()))  # the last one counts
    folder = into / below
    told = replace(recipe, arguments=arguments, folder=str(folder.resolve()))
    again = replace(session, recipe=told)
    return start_of(again, directory, into=folder, until=until), folder


def compare_again(
    original: KeptRun, folder: Path, again: Path, tolerance: float, until: int | None = None
) -> Reproduction:
    """Hold a second run against the first: losses step by step, then the last tensors.

    Nothing after step `until` counts, if one is given.

    Metrics are those with `loss` in their name, all where none has. Tensors are those of the
    newest step that both kept.

    Raises:
        RequestError: the second run wrote nothing.
    """
    if not again.is_dir():
        raise RequestError(f"the program wrote no run to {again}: does it train by a Run?")
    first, second = _cut(original, until), local_run(again)
    names = [name for name in first.curves if "loss" in name.lower()] or list(first.curves)
    curves = [_checked(name, first, second, tolerance) for name in names]
    pair = _last_pair(first, second)
    tensors: list[Distance] = []
    if pair is not None:
        tensors = [
            distance(name, folder / pair[0].folder, again / pair[1].folder, pair[1].digests or {})
            if digest != (pair[1].digests or {}).get(name)
            else Distance(name, is_same=True, largest=0.0)
            for name, digest in (pair[0].digests or {}).items()
            if not name.startswith(_RANDOM)
        ]
    step = pair[0].step if pair else None
    return Reproduction(original, second, tolerance, curves, step, tensors, until)


def _cut(run: KeptRun, until: int | None) -> KeptRun:
    if until is None:
        return run
    points = tuple(one for one in run.points if one.step <= until)
    return replace(run, points=points, steps=tuple(one for one in run.steps if one.step <= until))


def _checked(name: str, original: KeptRun, second: KeptRun, tolerance: float) -> CurveCheck:
    first, other = original.curves[name], second.curves.get(name, [])
    there = dict(other)
    missing = [step for step, _ in first if step not in there]
    apart = (s for s, value in first if s in there and not _near(value, there[s], tolerance))
    return CurveCheck(name, parting(first, other), len(missing), next(apart, None))


def _near(one: float, other: float, tolerance: float) -> bool:
    if one == other or (isnan(one) and isnan(other)):
        return True
    if not (isfinite(one) and isfinite(other)):
        return False
    return abs(one - other) <= tolerance * max(abs(one), abs(other))


def _last_pair(original: KeptRun, second: KeptRun) -> tuple[KeptStep, KeptStep] | None:
    there = {one.step: one for one in second.steps if not one.trouble}
    for one in reversed(original.steps):
        if not one.trouble and one.step in there:
            return one, there[one.step]
    return None
