"""What the catalog hands out and takes in: repos, queries, summaries, tokens, audit rows."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from cairn.domain import ANONYMOUS, Actor, Digest, Grant, RepoId, RepoType, Scope

SortKey = Literal["lastModified", "createdAt", "trendingScore", "downloads", "likes"]


@dataclass(frozen=True, slots=True)
class RepoRecord:
    """One repo with everything a listing or a repo page says about it.

    `head` is the commit of the default branch (None before the first commit).
    `card` is the front matter of the model card as JSON values. `parameters` counts
    weights by dtype label (None until a description ran). `size_bytes` are plain bytes
    of the described revision. `safetensors_views` is what the owner said about them, None
    for as the hub is set. `trending_score` is the number of downloads, each
    counting half as much for every seven days of age.
    """

    uid: str
    id: RepoId
    private: bool
    gated: str | None
    created_at: datetime
    updated_at: datetime
    default_branch: str = "main"
    head: str | None = None
    sdk: str | None = None
    downloads: int = 0
    likes: int = 0
    trending_score: float = 0.0
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    license: str | None = None
    card: dict[str, Any] = field(default_factory=dict)
    card_commit: str | None = None
    parameters: dict[str, int] | None = None
    formats: tuple[str, ...] = ()
    tensor_count: int = 0
    size_bytes: int = 0
    contents_commit: str | None = None
    safetensors_views: bool | None = None

    @property
    def described_commit(self) -> str | None:
        """The commit that both card and contents speak of; None if they differ or are unset."""
        return self.contents_commit if self.contents_commit == self.card_commit else None

    @property
    def default_ref(self) -> str:
        """Full name of the default branch, `refs/heads/main`."""
        return f"refs/heads/{self.default_branch}"


@dataclass(frozen=True, slots=True)
class CardSummary:
    """What the model card of `commit` says. Tags keep their order; matching ignores case."""

    commit: str
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    license: str | None = None
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContentsSummary:
    """What the files of `commit` hold: weights by dtype label, formats, tensors, plain bytes."""

    commit: str
    parameters: dict[str, int] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    tensor_count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RepoQuery:
    """Which repos to list. All conditions must hold; the order is always descending.

    `text` matches whole words of names and tags, its last word also as a prefix.
    `limit` is 1 to 1000. `cursor` is the `next_cursor` of the page before.
    """

    type: RepoType
    text: str = ""
    author: str | None = None
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library: str | None = None
    license: str | None = None
    sort: SortKey = "lastModified"
    limit: int = 30
    cursor: str | None = None
    viewer: Actor = ANONYMOUS


@dataclass(frozen=True, slots=True)
class RepoPage:
    """One page of a listing; `next_cursor` is None on the last one, `total` counts all pages."""

    repos: tuple[RepoRecord, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Facets:
    """How many visible repos carry each value, most frequent first."""

    pipeline_tags: dict[str, int]
    libraries: dict[str, int]
    licenses: dict[str, int]


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An access token without its secret. `last_used_at` is exact to ten minutes."""

    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """Who somebody is at an OpenID provider; `shown_name` is what they recognise it by."""

    issuer: str
    subject: str
    shown_name: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A browser session without its cookie. `seen_at` is exact to five minutes.

    `way` is how it was opened (`password`, `token`, `oidc`), `address` and `agent` whence.
    """

    id: int
    way: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    is_current: bool


class ChangeKind(Enum):
    """What a commit did to a path."""

    ADDED = "+"
    MODIFIED = "~"
    DELETED = "-"


@dataclass(frozen=True, slots=True, order=True)
class FileChange:
    """One path a commit touched."""

    path: str
    kind: ChangeKind = field(compare=False)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who did what to which repo, and when. `actor` is `system` for the hub itself."""

    at: datetime
    actor: str
    action: str
    repo: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Location:
    """A file of a revision."""

    repo: RepoId
    revision: str
    path: str

    def __str__(self) -> str:
        return f"{self.repo} at {self.revision[:12]}: {self.path}"


@dataclass(frozen=True, slots=True)
class ChunkRun:
    """Consecutive chunks of a blob, and the name of the xorb they would be.

    `names` holds 32 raw bytes a chunk, `sizes` four little-endian ones: its plain bytes.
    """

    digest: Digest
    first_byte: int
    xorb: bytes
    names: bytes
    sizes: bytes

    @property
    def chunks(self) -> int:
        """How many."""
        return len(self.sizes) // 4


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """A chunk by its raw name, and where the run it belongs to begins in the blob."""

    chunk: bytes
    first_byte: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A signed statement about a revision, as it was sent. `digest` is that of `content`.

    If it was `imported`, its sender is no account of this hub, whatever the name.
    """

    kind: str
    digest: Digest
    content: bytes
    sender: str
    received_at: datetime
    imported: bool = False


@dataclass(frozen=True, slots=True)
class TrustedSigner:
    """Who may sign in a namespace; None: in every one.

    `pem` is a key, a root certificate, or the JSON of a Sigstore trusted root. `identity` is the
    only holder of a certificate from that root who may; empty: all may. `issuer` says who that
    is, for Sigstore identities.
    """

    namespace: str | None
    name: str
    pem: str
    identity: str
    issuer: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that an account is told. `link` is a path of the hub, empty for none.

    `repo` is None if it is about none, or that is gone. `read_at` is None until it is read.
    """

    id: int
    at: datetime
    kind: str
    text: str
    link: str
    repo: RepoId | None
    read_at: datetime | None
