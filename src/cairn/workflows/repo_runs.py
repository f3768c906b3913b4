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
    return view_run(house, open_view(house, actor, repo_id, revision))


def view_run(house: House, view: View) -> KeptRun:
    """The run in a revision that the caller may read; errors as `repo_run`."""
    entries = house.catalog.history.manifest(view.revision.tree).entries
    files = {
        path: File(entry.blob.size_bytes, partial(opened, house, entry))
        for path, entry in entries.items()
    }
    return read_kept_run(f"{view.repo.id}@{view.revision.id[:12]}", files, is_live=None)
