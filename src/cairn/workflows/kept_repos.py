"""Repos of the hub that is kept on this machine as folders: what training reads without a server.

A revision never changes, so its folder is written once, below the caches of the user.
"""

import shutil
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from cairn.domain import Actor, RepoId, RepoType
from cairn.workflows.browse import open_view
from cairn.workflows.fetching import OF_MODELS, Fetched
from cairn.workflows.house import House
from cairn.workflows.stored_file import opened

_BLOCK_BYTES = 1 << 20


def kept_folder(
    house: House, actor: Actor, repo: RepoId, revision: str | None, caches: Path
) -> Fetched:
    """The same files as `fetch` brings from a served hub, in a folder below `caches`.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: there is none. GatedError. IntegrityError: a
            stored file is damaged.
    """
    view = open_view(house, actor, repo, revision)
    commit = view.revision.id
    folder = caches / repo.type.plural / repo.full_name.replace("/", "--") / commit
    if folder.is_dir():
        return Fetched(folder, commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        entries = house.catalog.history.manifest(view.revision.tree).entries
        for path, entry in entries.items():
            if repo.type is RepoType.MODEL and not _is_of_model(path):
                continue
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            with opened(house, entry) as source, (draft / path).open("wb") as written:
                for at in range(0, source.size_bytes, _BLOCK_BYTES):
                    written.write(source.read_at(at, min(_BLOCK_BYTES, source.size_bytes - at)))
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Fetched(folder, commit)


def _is_of_model(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in OF_MODELS)
