"""One repo at one revision, as the paths of our own endpoints name it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Path, Request

from cairn.domain import Actor, RepoId, RepoType
from cairn.errors import NamingError, RepoNotFoundError
from cairn.hub.identity import actor_of
from cairn.workflows import browse
from cairn.workflows.house import House

Kind = Annotated[
    Literal["models", "datasets", "spaces"], Path(description="Which sort of repo it is.")
]
Name = Annotated[str, Path(min_length=1, max_length=96, description="One side of the repo's id.")]
Rev = Annotated[
    str,
    Path(
        min_length=1,
        max_length=300,
        description="Branch, tag, ref or commit id; a slash in it may be written as %2F.",
    ),
]


@dataclass(frozen=True, slots=True)
class RevisionAsked:
    """The repo and revision that a path names."""

    kind: Kind
    namespace: Name
    name: Name
    rev: Rev

    def open(self, house: House, actor: Actor) -> browse.View:
        """The repo at this revision, if the caller may read its files.

        Raises:
            RepoNotFoundError, GatedError, RevisionNotFoundError: see `open_revision`.
        """
        return open_revision(house, actor, self.kind, self.namespace, self.name, self.rev)


Asked = Annotated[RevisionAsked, Depends()]


async def caller(request: Request) -> Actor:
    """Who asks, by the Authorization header."""
    return await actor_of(request)


def open_revision(
    house: House, actor: Actor, kind: str, namespace: str, name: str, rev: str
) -> browse.View:
    """The repo at this revision, if the caller may read its files.

    Raises:
        RepoNotFoundError: no such repo, or a private one of somebody else, or no possible name.
        GatedError: its files need the owner's consent.
        RevisionNotFoundError: no such branch, tag or commit.
    """
    try:
        repo_id = RepoId(RepoType.from_plural(kind), namespace, name)
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such repo: {error}") from None
    return browse.open_view(house, actor, repo_id, rev)
