"""Repositories as people and clients name them: ids, refs, revisions, what a revision holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cairn.domain.digests import Blob
from cairn.errors import NamingError

# https://huggingface.co/docs/huggingface_hub: `validate_repo_id` (utils/_validators.py)
_NAME = re.compile(r"[\w\-.]{1,96}\Z", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The rules of git-check-ref-format, see its manual page; lone surrogates are no text.
_BAD_REF = re.compile(
    r"[\ud800-\udfff\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|^\.|/\.|\.lock$|\.$|^-"
)

MAX_PATH_BYTES = 4096  # PATH_MAX on Linux: a longer path could never be checked out
MAX_REF_BYTES = 244  # git keeps refs as files: NAME_MAX 255 less ".lock" and margin


class RepoType(Enum):
    """The kinds of repos the hub keeps; the value is the singular used on the wire."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"

    @property
    def plural(self) -> str:
        """`models`, `datasets`, `spaces`: the API path segment."""
        return f"{self.value}s"

    @property
    def url_prefix(self) -> str:
        """What precedes the id in web and resolve URLs: empty for models."""
        return "" if self is RepoType.MODEL else f"{self.plural}/"

    @classmethod
    def from_plural(cls, plural: str) -> "RepoType":
        """The type for an API path segment; NamingError if unknown."""
        for repo_type in cls:
            if repo_type.plural == plural:
                return repo_type
        raise NamingError(f"unknown repo type {plural!r}; known: models, datasets, spaces")


def check_name(name: str, what: str = "name") -> str:
    """Return `name` if it may be a namespace or repo name.

    Raises:
        NamingError: it has other characters than letters, digits, `-`, `_`, `.`, more than 96,
            starts or ends with `-` or `.`, or contains `--`, `..` or a trailing `.git`.
    """
    if (
        not _NAME.match(name)
        or name[0] in "-."
        or name[-1] in "-."
        or "--" in name
        or ".." in name
        or name.lower().endswith((".git", ".ipynb"))
    ):
        raise NamingError(
            f"{what} {name[:120]!r} is not allowed: use 1 to 96 letters, digits, '-', '_', '.';"
            " no '--' or '..', no '-' or '.' at either end, no '.git' ending"
        )
    return name


@dataclass(frozen=True, slots=True, order=True)
class RepoId:
    """`namespace/name` of one type."""

    type: RepoType
    namespace: str
    name: str

    def __post_init__(self) -> None:
        check_name(self.namespace, "namespace")
        check_name(self.name, "repo name")

    @classmethod
    def parse(cls, repo_type: RepoType, text: str) -> "RepoId":
        """From `namespace/name`.

        Raises:
            NamingError: there is not exactly one slash, or a side is not a valid name.
        """
        namespace, slash, name = text.partition("/")
        if not slash or "/" in name:
            raise NamingError(f"repo id {text[:200]!r} must be 'namespace/name'")
        return cls(repo_type, namespace, name)

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def url_path(self) -> str:
        """Path of the repo's page without a leading slash, e.g. `datasets/org/name`."""
        return f"{self.type.url_prefix}{self.full_name}"

    def __str__(self) -> str:
        return self.url_path


def is_commit_id(text: str) -> bool:
    """Whether `text` has the form of a full commit id (40 lower-case hex digits)."""
    return _COMMIT.match(text) is not None


def check_ref_name(name: str) -> str:
    """Return a short branch or tag name if git would accept it (git-check-ref-format).

    Raises:
        NamingError: it would not, or it looks like a commit id, or it starts with `refs/`.
    """
    if (
        not name
        or len(name.encode("utf-8", "surrogatepass")) > MAX_REF_BYTES
        or _BAD_REF.search(name)
        or name == "@"
        or name.startswith("refs/")
        or is_commit_id(name)
    ):
        raise NamingError(f"{name[:120]!r} is not a valid branch or tag name")
    return name


def check_path(path: str) -> str:
    """Return a path inside a repo if it is relative, normal and printable.

    A backslash is an ordinary character, as in git.

    Raises:
        NamingError: empty, absolute, too long, or with `.`, `..`, `.git` or empty segments,
            control characters or lone surrogates.
    """
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise NamingError(f"path {path[:120]!r} is not valid Unicode") from None
    segments = path.split("/")
    if (
        not path
        or size > MAX_PATH_BYTES
        or _CONTROL.search(path)
        or any(s in ("", ".", "..") or s.lower() == ".git" for s in segments)
    ):
        raise NamingError(
            f"path {path[:120]!r} is not allowed in a repo: it must be relative,"
            " without '.', '..', '.git' or empty segments and without control characters"
        )
    return path


@dataclass(frozen=True, slots=True)
class Ref:
    """A movable name: `refs/heads/main`, `refs/tags/v1`, `refs/pr/1`."""

    name: str
    commit: str

    @property
    def short_name(self) -> str:
        """The name without `refs/heads/` or `refs/tags/`."""
        for prefix in ("refs/heads/", "refs/tags/"):
            if self.name.startswith(prefix):
                return self.name[len(prefix) :]
        return self.name


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a revision.

    `oid` is git's object id: of the content for a regular file, of the LFS pointer
    for a large one (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
    """

    path: str
    blob: Blob
    oid: str
    lfs: bool
    pointer_size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a revision; `oid` is git's tree id."""

    path: str
    oid: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a revision holds: path to file, sorted by path."""

    entries: Mapping[str, Entry]

    @property
    def size_bytes(self) -> int:
        """Plain bytes of all files."""
        return sum(entry.blob.size_bytes for entry in self.entries.values())


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit: an immutable state of a repo. `id` is its git commit id.

    `tree` names the root directory for the catalog; it is opaque and not git's tree id.
    """

    id: str
    tree: str
    parents: tuple[str, ...]
    title: str
    description: str
    author: str
    created_at: datetime
