"""What the values of a repo's tensors are like, as far as the hub has measured them, in pages."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.api.tensor_pages import TensorPage, read_asked
from cairn.hub.identity import house_of
from cairn.workflows.health import TensorHealth, summarise
from cairn.workflows.plain_statistics import SCHEMA, plain_health, plain_summary
from cairn.workflows.stored_health import known_health

router = APIRouter()


class Distinct(BaseModel):
    """Different values; not exact means that there are more than that."""

    count: int
    exact: bool


class Rows(BaseModel):
    """Runs along the first axis; dead ones hold nothing but zeros."""

    count: int
    dead: int


class Rank(BaseModel):
    """Ranks from the singular values, or why they were not computed."""

    effective: float | None = None
    stable: float | None = None
    full: int | None = None
    not_computed: str | None = None


class LinearHistogram(BaseModel):
    """Equal bins over four deviations around the mean, derived from finer logarithmic ones."""

    evidence: Literal["derived"]
    low: float
    high: float
    counts: list[int]
    below: int
    above: int


class Statistics(BaseModel):
    """Numbers about all values of a tensor; moments and extremes are of the finite ones."""

    evidence: Literal["measured"]
    count: int
    nan: int
    positive_infinity: int
    negative_infinity: int
    zeros: int
    subnormals: int
    min: int | float | None
    max: int | float | None
    abs_max: int | float | None
    mean: float | None
    std: float | None
    l2_norm: float | None
    constant: bool
    distinct: Distinct
    rows: Rows | None
    rank: Rank
    octaves: list[tuple[int, int, int]] = Field(
        description="Exponent of two, negative and positive values of that magnitude."
    )
    histogram: LinearHistogram | None


class TensorMeasured(BaseModel):
    """One tensor: its statistics, or why it has none."""

    file: str
    name: str
    statistics: Statistics | None
    not_read: str | None
    troubles: list[str]


class CheckpointHealth(BaseModel):
    """The tensors of a revision that were measured."""

    schema_: int = Field(alias="schema", description="Rises when a key changes its meaning.")
    commit: str = Field(description="The revision that was read.")
    measured: int
    not_read: int
    troubles: dict[str, int] = Field(description="How many tensors have which trouble.")
    waiting: list[str] = Field(description="Files whose values were not measured yet.")
    spread: list[str] = Field(
        description="What is kept in several files: the hub measures file by file, not these."
    )
    tensors: list[TensorMeasured] = Field(description="This page of the tensors that match.")
    matching: int = Field(description="Known tensors that match the filter, on all pages.")
    offset: int = Field(description="Matching tensors before the first one listed.")


@router.get("/{kind}/{namespace}/{name}/health/{rev:path}", responses=PROBLEMS)
async def health(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    page: Annotated[TensorPage, Depends()],
) -> CheckpointHealth:
    """Statistics of a revision's tensors, measured in the background; nothing is read now."""
    house = house_of(request)

    def work() -> CheckpointHealth:
        view, found = read_asked(request, actor, asked)
        entries = house.catalog.history.manifest(view.revision.tree).entries
        known = known_health(house, found, entries)
        matching = page.matching(known.tensors.values(), lambda one: one.tensor.name)
        return CheckpointHealth(
            schema=SCHEMA,
            commit=view.revision.id,
            **plain_summary(summarise(known.tensors.values())),
            waiting=list(known.waiting),
            spread=list(known.spread),
            tensors=[_measured(one) for one in page.of(matching)],
            matching=len(matching),
            offset=page.offset,
        )

    return await threads.call_long(work)


def _measured(one: TensorHealth) -> TensorMeasured:
    return TensorMeasured(file=one.path, name=one.tensor.name, **plain_health(one))
