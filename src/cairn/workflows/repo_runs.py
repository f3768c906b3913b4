"""Runs in repos of a hub: read from the files of a revision."""

from functools import partial

from cairn.domain import Actor, RepoId
from cairn.formats import File
from cairn.workflows.browse import View, open_view
from cairn.workflows.house import House
from cairn.workflows.kept_runs import KeptRun, read_kept_run
from cairn.workflows.stored_file import opened


def repo_run(house: House, actor: Actor, repo_id: RepoId, revision: str | None) -> KeptRun:
    """The run in a repo at a revision; None means the default branch.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
        EntryNotFoundError: it holds no run. UntrustedDataError: the run cannot be read.
    """
    view = open_view(house, actor, repo_id, revision)
    name = f"{view.repo.id}@{view.revision.id[:12]}"
    return read_kept_run(name, revision_files(house, view), is_live=None)


def revision_files(house: House, view: View) -> dict[str, File]:
    """The files of a revision that the caller may read, by path."""
    entries = house.catalog.history.manifest(view.revision.tree).entries
    return {
        path: File(entry.blob.size_bytes, partial(opened, house, entry))
        for path, entry in entries.items()
    }
