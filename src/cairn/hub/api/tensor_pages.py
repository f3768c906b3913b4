"""Which tensors of which revision a caller of our own endpoints asks for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Query, Request

from cairn.domain import Actor, Checkpoint
from cairn.hub.api.repos import RevisionAsked
from cairn.hub.checkpoints import CheckpointMemory, read_revision
from cairn.hub.identity import house_of
from cairn.workflows.browse import View

MAX_TENSORS = 5000

T = TypeVar("T")


def read_asked(request: Request, actor: Actor, asked: RevisionAsked) -> tuple[View, Checkpoint]:
    """The revision and its checkpoint, an empty one where it holds none.

    Raises:
        RepoNotFoundError, GatedError, RevisionNotFoundError: see `open_revision`.
    """
    house = house_of(request)
    memory: CheckpointMemory = request.app.state.checkpoints
    view = asked.open(house, actor)
    return view, read_revision(memory, house, actor, view) or Checkpoint("", {})


@dataclass(frozen=True, slots=True)
class TensorPage:
    """The tensors that match a filter, and the part of them to list."""

    filter: Annotated[
        str, Query(max_length=200, description="Only tensors whose name contains this.")
    ] = ""
    limit: Annotated[int, Query(ge=0, le=MAX_TENSORS, description="Most tensors to list.")] = 1000
    offset: Annotated[int, Query(ge=0, le=10**9, description="Tensors to leave out first.")] = 0

    def matching(self, tensors: Iterable[T], name_of: Callable[[T], str]) -> list[T]:
        """Those the filter keeps, on all pages."""
        return [one for one in tensors if self.filter in name_of(one)]

    def of(self, matching: list[T]) -> list[T]:
        """Those on this page."""
        return matching[self.offset : self.offset + self.limit]
