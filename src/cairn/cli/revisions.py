"""Revisions that a command signs: on a hub at some address, or in the one kept here."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cairn.cli.kept_hub import open_hub
from cairn.domain import Account, Actor, RepoId, Scope

if TYPE_CHECKING:
    from cairn.workflows.browse import View
    from cairn.workflows.house import House

# Whoever may read the data directory may do everything to what is in it.
OPERATOR = Actor(Account("operator", "Operator of this machine", is_admin=True), Scope.WRITE)


class Revisions(Protocol):
    """Where revisions are, and bundles are attached to them."""

    def digests(self, repo: RepoId, revision: str) -> tuple[str, dict[str, str]]:
        """The commit that a revision is now, and the SHA-256 of its files by path."""
        ...

    def attach(self, repo: RepoId, revision: str, bundle: bytes) -> str:
        """Attach a bundle; returns what the hub makes of all signatures of the revision."""
        ...


@dataclass(frozen=True, slots=True)
class KeptRevisions:
    """Those of the hub in a data directory."""

    house: "House"

    def digests(self, repo: RepoId, revision: str) -> tuple[str, dict[str, str]]:
        """See `Revisions.digests`."""
        from cairn.workflows.revision_proof import revision_digests

        view = self.view(repo, revision)
        return view.revision.id, revision_digests(self.house, view)

    def attach(self, repo: RepoId, revision: str, bundle: bytes) -> str:
        """See `Revisions.attach`."""
        from cairn.workflows.attaching import attach_bundle
        from cairn.workflows.revision_proof import prove

        view = self.view(repo, revision)
        attach_bundle(self.house, OPERATOR, view, bundle)
        return prove(self.house, view).verdict.value

    def view(self, repo: RepoId, revision: str) -> "View":
        """The repo at a revision."""
        from cairn.workflows.browse import open_view

        return open_view(self.house, OPERATOR, repo, revision)


def revisions_at(hub: str | None, token: str | None, data: Path | None) -> Revisions:
    """Those of the hub at an address, or without one of the hub kept here."""
    if hub is None:
        return KeptRevisions(open_hub(data))
    from cairn.hub.remote import RemoteHub

    return RemoteHub(hub, token)
