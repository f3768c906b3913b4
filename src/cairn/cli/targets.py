"""What a command's target means: a path on this machine, or a repo of the hub kept here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.errors import EntryNotFoundError, NamingError, NotFoundError, RepoNotFoundError

if TYPE_CHECKING:
    from cairn.domain import Actor, RepoId
    from cairn.workflows.house import House
    from cairn.workflows.readable import ReadableCheckpoint

_PATH_LIKE = re.compile(r"[./~]|[A-Za-z]:\\")


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A file or folder that exists."""

    path: Path


@dataclass(frozen=True, slots=True)
class RepoTarget:
    """A repo, at a revision if one was named."""

    repo_id: "RepoId"
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
    try:
        if _PATH_LIKE.match(text):
            raise NamingError("written like a path")
        return RepoTarget(parse_repo(name), revision or None)
    except NamingError:
        raise EntryNotFoundError(
            f"{text}: no such file or folder, and not a repo id such as org/name@revision"
        ) from None


def parse_repo(text: str) -> "RepoId":
    """The repo `[models/|datasets/|spaces/]namespace/name`.

    Raises:
        NamingError: it is none.
    """
    from cairn.domain import RepoId, RepoType

    prefixes = {repo_type.plural: repo_type for repo_type in RepoType}
    prefix, slash, rest = text.partition("/")
    repo_type = prefixes.get(prefix) if slash and "/" in rest else None
    return RepoId.parse(repo_type or RepoType.MODEL, rest if repo_type else text)


def read_target(text: str, data: Path | None) -> tuple["ReadableCheckpoint", str]:
    """The checkpoint a target names, and a label for it that tells nothing of this machine.

    `data` is the data directory of the hub, where the target is a repo.

    Raises:
        EntryNotFoundError, RepoNotFoundError, RevisionNotFoundError: it is not there.
        UntrustedDataError: it is one file, and that cannot be read.
    """
    target = parse_target(text)
    if isinstance(target, LocalTarget):
        from cairn.workflows.inspect import read_path

        return read_path(target.path), target.path.absolute().name

    from cairn.workflows.inspect import read_repo

    house, operator = open_kept(text, data)
    found = read_repo(house, operator, target.repo_id, target.revision)
    return found, found.checkpoint.name


def open_kept(text: str, data: Path | None) -> "tuple[House, Actor]":
    """The hub kept here, for the repo that `text` names, and whoever may read all of it.

    Raises:
        RepoNotFoundError: no hub is kept here.
    """
    from cairn.cli.kept_hub import open_hub
    from cairn.domain import Account, Actor

    try:
        house = open_hub(data)
    except NotFoundError as error:
        raise RepoNotFoundError(f"{text}: no such file or folder here, and {error}") from None
    # Whoever may read the data directory may read every repo in it.
    return house, Actor(Account("operator", "Operator of this machine", is_admin=True))
