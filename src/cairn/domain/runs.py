"""Training runs: what one was made from, how it was started, what became of it, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cairn.domain.digests import Digest
from cairn.domain.retention import Retention
from cairn.errors import RequestError

Setting = str | int | bool | None
"""What the record of an environment says under a name."""


class RunStatus(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    ENDED = "ended"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class RecipeKind(StrEnum):
    """What a run was started as; one that was typed in cannot be started again."""

    SCRIPT = "script"
    BUILTIN = "builtin"
    TYPED_IN = "typed in"


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """How a run is started again.

    `arguments` are those of the interpreter (`train.py --lr 1e-3`, `-m package`); a built-in
    recipe is a command of Cairn, and they are those of `cairn` (`finetune org/base`). `program` is
    the script's path as it was called, or the name of the built-in recipe; `digest` that of the
    script. `directory` is the working folder, seen from the run's; `folder` the run's folder as
    the program names it.
    """

    kind: RecipeKind
    program: str = ""
    digest: Digest | None = None
    arguments: Sequence[str] = ()
    directory: str = "."
    folder: str = "."


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model that a run began with: a repo or path, its commit if it has one, its files."""

    where: str
    revision: str | None = None
    digests: Mapping[str, Digest] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "BaseModel":
        """`org/name@revision`, or a path."""
        where, at, revision = text.rpartition("@")
        return cls(where, revision) if at and where else cls(text)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Data of a run: where they were, and a name for their content."""

    where: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """One process that trained: when it began, from which step (None: anew), how, and where.

    `started` is UTC, ISO 8601.
    """

    started: str
    from_step: int | None
    recipe: TrainingRecipe
    environment: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run says of itself beside its checkpoints and its curves.

    `changed` is UTC, ISO 8601. `error` has words where `status` is failed or interrupted.

    Raises:
        RequestError: no session is named.
    """

    id: str
    name: str
    status: RunStatus
    changed: str
    sessions: Sequence[TrainingSession]
    error: str | None = None
    seed: int | None = None
    base: BaseModel | None = None
    data: Sequence[TrainingData] = ()
    keep: Retention | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sessions:
            raise RequestError("a run without a session never began")

    @property
    def started(self) -> str:
        """When the first session began: UTC, ISO 8601."""
        return self.sessions[0].started

    @property
    def recipe(self) -> TrainingRecipe:
        """How the newest session was started."""
        return self.sessions[-1].recipe


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """What was measured at a step: `epoch` in epochs, `seconds` of training so far.

    Raises:
        RequestError: the step is none.
    """

    step: int
    seconds: float
    values: Mapping[str, float]
    epoch: float | None = None

    def __post_init__(self) -> None:
        if self.step < 0:
            raise RequestError(f"{self.step} cannot be a step")


@dataclass(frozen=True, slots=True)
class RunOrders:
    """What whoever starts a training program asks of its run.

    The run that the program has in `folder` is written `into` another one (None: there), goes on
    from `step` (None: the newest), although what `allow` names differs, and ends before the first
    step after `until` (None: where the program ends it).
    """

    folder: str
    into: str | None = None
    step: int | None = None
    allow: Sequence[str] = ()
    until: int | None = None
