"""A training run that a repo holds: the JSON of `cairn run show --json`, within bounds."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.identity import house_of
from cairn.workflows.bounded_runs import bounded_run
from cairn.workflows.repo_runs import revision_files
from cairn.workflows.run_description import describe_run

router = APIRouter()


class CheckpointOfRun(BaseModel):
    """A checkpoint of a run; `trouble` says why it cannot be gone on from."""

    step: int
    folder: str
    size_bytes: int
    saved_at: str | None
    metrics: dict[str, float | str] = Field(description='Also "NaN", "Infinity", "-Infinity".')
    trouble: str | None


class TrainingRun(BaseModel):
    """What a run says of itself; no tensor is read, and nothing is executed."""

    schema_: int = Field(alias="schema", description="Rises when a key changes its meaning.")
    name: str
    commit: str = Field(description="The revision that was read.")
    status: str | None
    error: str | None
    last_step: int | None
    record: dict[str, Any] | None = Field(description="See docs/formats/cairn-training.md.")
    steps: list[CheckpointOfRun]
    resume_point: int | None = Field(description="The step that a resume begins from.")
    curves: dict[str, list[tuple[int, float | str]]] = Field(description="Step and value, by name.")
    left_out: list[str] = Field(description="What is too much to be told here, in words.")


@router.get("/{kind}/{namespace}/{name}/training/{rev:path}", responses=PROBLEMS)
async def training(
    request: Request, actor: Annotated[Actor, Depends(caller)], asked: Asked
) -> TrainingRun:
    """Record, curves and checkpoints of a training run in a revision."""

    def work() -> TrainingRun:
        house = house_of(request)
        view = asked.open(house, actor)
        found = bounded_run(view.repo.id.full_name, revision_files(house, view))
        told = describe_run(found.run, None)
        del told["changed"]  # of a machine that trains
        return TrainingRun(**told, commit=view.revision.id, left_out=list(found.left_out))

    return await threads.call_long(work)
