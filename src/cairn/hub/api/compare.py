"""What differs between two revisions of a repo: the JSON of `cairn diff --json`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor, RepoId, RepoType
from cairn.errors import NamingError, RepoNotFoundError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Kind, Name, caller
from cairn.hub.comparisons import ComparisonMemory, compare_revisions, open_both
from cairn.hub.identity import house_of
from cairn.workflows.diff_description import describe_difference

router = APIRouter()


class RevisionsCompared(BaseModel):
    """A difference; tensors that are equal are counted and left out."""

    schema_: int = Field(alias="schema", description="Rises when a key changes its meaning.")
    before: str = Field(description="The commit of the first revision.")
    after: str = Field(description="The commit of the second revision.")
    same: bool = Field(description="Nothing was found to differ; see values_compared.")
    values_compared: bool = Field(description="False where they are too large for a request.")
    summary: list[str]
    counts: dict[str, int] = Field(description="Tensors by what happened to them.")
    wrapper: str
    tensors: list[dict[str, Any]]
    added: list[dict[str, Any]]
    removed: list[dict[str, Any]]
    settings: list[dict[str, Any]]
    tokenizers: list[dict[str, Any]]
    files: list[dict[str, Any]]
    training: dict[str, dict[str, Any]]
    unread: dict[str, str]
    notes: list[str]


Revisions = Annotated[
    str, Path(min_length=5, max_length=600, description="Two revisions as before...after.")
]


@router.get("/{kind}/{namespace}/{name}/compare/{revisions:path}", responses=PROBLEMS)
async def compare(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    revisions: Revisions,
) -> RevisionsCompared:
    """Tensors, settings and tokenizers that differ between two revisions; values of small ones."""
    house = house_of(request)
    memory: ComparisonMemory = request.app.state.comparisons

    def work() -> RevisionsCompared:
        try:
            repo_id = RepoId(RepoType.from_plural(kind), namespace, name)
        except NamingError as error:
            raise RepoNotFoundError(f"there is no such repo: {error}") from None
        before, after = open_both(house, actor, repo_id, revisions)
        found = compare_revisions(memory, house, actor, before, after)
        told = describe_difference(found, equal_tensors=False)
        told |= {"before": before.revision.id, "after": after.revision.id}
        return RevisionsCompared(**told)

    return await threads.call_long(work)
