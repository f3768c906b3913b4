"""What differs between two revisions of a repo: the JSON of `cairn diff --json`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from cairn.catalog import Asked
from cairn.domain import Actor, RepoId, RepoType
from cairn.errors import NamingError, RepoNotFoundError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Kind, Name, caller
from cairn.hub.comparisons import ComparisonMemory, compare_revisions, open_both
from cairn.hub.identity import house_of
from cairn.workflows.diff_description import describe_difference

router = APIRouter()

RETRY_S = 3


class Waiting(BaseModel):
    """How far a comparison in the background is."""

    done_bytes: int
    total_bytes: int


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
    waiting: Waiting | None = Field(description="While values are compared in the background.")
    not_compared: str = Field(description="Why values were not compared and will not be.")


Revisions = Annotated[
    str, Path(min_length=5, max_length=600, description="Two revisions as before...after.")
]


@router.get(
    "/{kind}/{namespace}/{name}/compare/{revisions:path}",
    responses={
        **PROBLEMS,
        202: {
            "model": RevisionsCompared,
            "description": "Headers only; values are being compared: ask again after Retry-After.",
        },
    },
)
async def compare(
    request: Request,
    response: Response,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    revisions: Revisions,
    before_repo: Annotated[
        str, Query(max_length=200, description="Where the first revision is, if not in this repo.")
    ] = "",
) -> RevisionsCompared:
    """Tensors, settings and tokenizers that differ between two revisions.

    Values of more than 256 MiB are compared in the background and kept: 202 until then.
    """
    house = house_of(request)
    memory: ComparisonMemory = request.app.state.comparisons

    def work() -> RevisionsCompared:
        try:
            repo_id = RepoId(RepoType.from_plural(kind), namespace, name)
        except NamingError as error:
            raise RepoNotFoundError(f"there is no such repo: {error}") from None
        before, after = open_both(house, actor, repo_id, revisions, before_repo)
        compared = compare_revisions(memory, house, before, after)
        told = describe_difference(compared.found, equal_tensors=False)
        told |= {"before": before.revision.id, "after": after.revision.id}
        return RevisionsCompared(
            **told, waiting=_waiting(compared.waiting), not_compared=compared.why_not
        )

    told = await threads.call_long(work)
    if told.waiting is not None:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_S)
    return told


def _waiting(found: Asked | None) -> Waiting | None:
    if found is None:
        return None
    return Waiting(done_bytes=found.done_bytes, total_bytes=found.total_bytes)
