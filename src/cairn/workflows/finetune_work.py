"""What a fine-tuning works on, where it writes, and which files come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.domain.finetuning import ADAPTERS, FineTuning, TaskName
from cairn.errors import RequestError

RUN, RESULTS, CARD = "run", "results.json", "README.md"


@dataclass(frozen=True, slots=True)
class Place:
    """A base or data set on this machine: where, what a recipe calls it, and its commit.

    `repo` is its name on a hub, None for what only lies here.
    """

    path: Path
    name: str
    repo: str | None = None
    revision: str | None = None

    @property
    def called(self) -> str:
        """Its repo, or the path as somebody gave it."""
        return self.repo or self.name


@dataclass(frozen=True, slots=True)
class Work:
    """What a fine-tuning works on and where it writes; `allow` as resuming a run takes it.

    `hub` is the address that the repos came from, `data_dir` the folder of a hub without one.
    """

    recipe: FineTuning
    base: Place
    data: Place
    eval_data: Place | None
    out: Path
    device: str = "auto"
    allow: Sequence[str] = ()
    hub: str | None = None
    data_dir: Path | None = None

    @property
    def is_of_agent(self) -> bool:
        """Whether an agent learns from an environment, and not a model from rows."""
        return self.recipe.task is TaskName.REINFORCEMENT_LEARNING


def check_publishable(work: Work) -> None:
    """Refuse to publish, before anything is trained, what nobody else could load.

    Raises:
        RequestError: it is an adapter of a base that only lies here.
    """
    if work.recipe.method in ADAPTERS and work.base.repo is None:
        raise RequestError(
            f"an adapter of {work.base.name}, which is on no hub, is of no use to others:"
            " push the base first and name its repo, or use --method full"
        )
