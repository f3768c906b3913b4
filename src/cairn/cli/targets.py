"""What a command's target means: a path on this machine, or a repo of the hub kept here."""

import re
from dataclasses import dataclass
from pathlib import Path

from cairn.domain import RepoId, RepoType
from cairn.errors import EntryNotFoundError, NamingError

_PATH_LIKE = re.compile(r"[./~]|[A-Za-z]:\\")
_PREFIXES = {repo_type.plural: repo_type for repo_type in RepoType}


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A file or folder that exists."""

    path: Path


@dataclass(frozen=True, slots=True)
class RepoTarget:
    """A repo, at a revision if one was named."""

    repo_id: RepoId
    revision: str | None


def parse_target(text: str) -> LocalTarget | RepoTarget:
    """A local path if it exists, else `[models/|datasets/|spaces/]namespace/name[@revision]`.

    Raises:
        EntryNotFoundError: it is neither.
    """
    path = Path(text).expanduser()
    if text and path.exists():
        return LocalTarget(path)
    name, _, revision = text.partition("@")
    prefix, slash, rest = name.partition("/")
    repo_type = _PREFIXES.get(prefix) if slash and "/" in rest else None
    plain = rest if repo_type else name
    try:
        if _PATH_LIKE.match(text):
            raise NamingError("written like a path")
        repo_id = RepoId.parse(repo_type or RepoType.MODEL, plain)
    except NamingError:
        raise EntryNotFoundError(
            f"{text}: no such file or folder, and not a repo id such as org/name@revision"
        ) from None
    return RepoTarget(repo_id, revision or None)
