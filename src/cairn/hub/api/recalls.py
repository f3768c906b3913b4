"""What is recalled: who has files that turned out to be dangerous. For administrators."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from cairn.domain import Digest
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.identity import actor_of, house_of
from cairn.workflows.access import require_overseer
from cairn.workflows.recall import plain_recall, recall, standing_recalls

router = APIRouter()


class FoundThere(BaseModel):
    """Why a file is dangerous."""

    rule: str = Field(description="The rule that says so.")
    verdict: str = Field(description="How bad that is.")
    message: str = Field(description="What it is; may quote the file.")


class Changed(BaseModel):
    """When a verdict became another one."""

    at: datetime
    name: str = Field(description="The name under which it was judged.")
    before: str = Field(description="The verdict until then.")
    after: str = Field(description="The verdict from then on.")
    rules: str = Field(description="The version of the rules that changed it.")


class HeldThere(BaseModel):
    """A path of a repo that holds the file."""

    type: str = Field(description="Which sort of repo.")
    repo: str = Field(description="The repo's id.")
    path: str
    revisions: list[str] = Field(description="The commits that hold it there, newest first.")
    refs: list[str] = Field(description="Branches and tags that are at one of these now.")


class Base(BaseModel):
    """What something was made from."""

    type: str = Field(description="Which sort of repo.")
    repo: str = Field(description="The repo's id.")


class MadeFrom(BaseModel):
    """A model made from a repo that holds the file, or from one that was."""

    repo: str = Field(description="The model's id.")
    base: Base = Field(description="What its card names.")


class RecalledFile(BaseModel):
    """A file that should not be loaded, and all who have it."""

    sha256: str
    verdict: str = Field(description="The worst under any of its names.")
    names: list[str] = Field(description="The last parts of the paths it has.")
    findings: list[FoundThere] = Field(description="Why, the worst first.")
    changes: list[Changed] = Field(description="How the verdict changed, newest first.")
    holdings: list[HeldThere] = Field(description="Every repo and path that holds it.")
    descendants: list[MadeFrom] = Field(description="What was made from these repos.")


@router.get("/recalls", responses=PROBLEMS)
async def recalls(
    request: Request, *, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[RecalledFile]:
    """The files that were judged better once and are dangerous now; for administrators."""
    require_overseer(await actor_of(request))
    house = house_of(request)

    def work() -> list[dict[str, Any]]:
        return [plain_recall(one) for one in standing_recalls(house, limit)]

    return [RecalledFile.model_validate(one) for one in await threads.call_long(work)]


@router.get("/recalls/{sha256}", responses=PROBLEMS)
async def recalled(
    request: Request,
    sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="Any file's digest.")],
) -> RecalledFile:
    """Who has a file, whatever the verdict on it is; for administrators."""
    require_overseer(await actor_of(request))
    house = house_of(request)
    found = await threads.call_long(lambda: plain_recall(recall(house, Digest.sha256(sha256))))
    return RecalledFile.model_validate(found)
