"""What is odd about the weights of a revision: the JSON of `cairn weights --json`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.identity import house_of
from cairn.hub.weights import State, weigh

router = APIRouter()

RETRY_S = 3


class BaseTold(BaseModel):
    """What the weights are held against."""

    repo: str
    commit: str


class Progress(BaseModel):
    """How far a report in the background is; `total_bytes` is 0 until it begins."""

    done_bytes: int
    total_bytes: int


class WeightsTold(BaseModel):
    """A report, or why there is none. Experimental, and never a verdict."""

    commit: str
    state: State
    reason: str = Field(description="Why there is no base, or no report and none to come.")
    base: BaseTold | None
    waiting: Progress | None
    report: dict[str, Any] | None = Field(description="docs/security/weights.md says what is in it")


@router.get(
    "/{kind}/{namespace}/{name}/weights/{rev:path}",
    responses={
        **PROBLEMS,
        202: {
            "model": WeightsTold,
            "description": "Being found in the background: ask again after Retry-After.",
        },
    },
)
async def weights(
    request: Request,
    response: Response,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    base: Annotated[
        str, Query(max_length=200, description="The model it was made from, if not as its card.")
    ] = "",
    base_rev: Annotated[
        str, Query(max_length=300, description="A revision of that; its default branch if empty.")
    ] = "",
) -> WeightsTold:
    """What is odd about the change of the weights from the base, and how often honest ones are so.

    Found in the background when first asked for, and kept: 202 until then.
    """
    house = house_of(request)

    def work() -> WeightsTold:
        view = asked.open(house, actor)
        found = weigh(house, actor, view, base, base_rev)
        before, waits = found.base, found.asked if found.report is None else None
        return WeightsTold(
            commit=view.revision.id,
            state=found.state,
            reason=found.reason,
            base=None
            if before is None
            else BaseTold(repo=before.repo.id.full_name, commit=before.revision.id),
            waiting=None
            if waits is None or not waits.is_waiting
            else Progress(done_bytes=waits.done_bytes, total_bytes=waits.total_bytes),
            report=None if found.report is None else dict(found.report),
        )

    told = await threads.call_long(work)
    if told.waiting is not None:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_S)
    return told
