"""Creates, changes and deletes repos."""

from typing import Literal

from cairn.catalog import PutFile, RepoRecord, gitobjects
from cairn.domain import Account, Actor, RepoId, RepoType
from cairn.errors import RequestError
from cairn.workflows.access import readable, require_writer, writable
from cairn.workflows.attributes import DEFAULT_GITATTRIBUTES
from cairn.workflows.house import House

INITIAL_TITLE = "initial commit"
SPACE_SDKS = ("gradio", "streamlit", "docker", "static")
SYSTEM = Account(name="system", full_name="system")

# First URL segments that are the hub's own: a repo below them could never be reached.
RESERVED_NAMESPACES = frozenset(
    {"api", "cas", "datasets", "models", "spaces", "static", "login", "logout", "settings", "new",
     "search", "oauth", "docs", "join", "_cairn_store"}
)  # fmt: skip

Gate = Literal["auto", "manual"]


def create_repo(
    house: House, actor: Actor, repo_id: RepoId, *, private: bool, sdk: str | None = None
) -> RepoRecord:
    """Make a repo whose branch `main` holds one commit with the default `.gitattributes`.

    Raises:
        UnauthenticatedError, ForbiddenError: `actor` may not create repos in the namespace.
        NotFoundError: the namespace does not exist.
        ConflictError: the repo exists.
        RequestError: the namespace is reserved, or a space has no or an unknown `sdk`.
    """
    if repo_id.namespace.lower() in RESERVED_NAMESPACES:
        raise RequestError(f"the namespace {repo_id.namespace!r} is reserved")
    require_writer(actor, repo_id.namespace)
    if repo_id.type is RepoType.SPACE and sdk not in SPACE_SDKS:
        raise RequestError(f"a space needs an sdk, one of {', '.join(SPACE_SDKS)}; got {sdk!r}")
    house.catalog.accounts.get(repo_id.namespace)
    record = house.catalog.repos.create(repo_id, private=private, sdk=sdk)
    _commit_first(house, record)
    return house.catalog.repos.get(record.id)


def _commit_first(house: House, record: RepoRecord) -> None:
    text = DEFAULT_GITATTRIBUTES.encode()
    blob = house.store.put_bytes(text)
    house.catalog.history.commit(
        record.uid,
        record.default_ref,
        [PutFile.regular(".gitattributes", blob, gitobjects.blob_oid_of(text))],
        expected_parent=None,
        author=SYSTEM,
        title=INITIAL_TITLE,
        when=house.clock(),
    )


def delete_repo(house: House, actor: Actor, repo_id: RepoId) -> None:
    """Forget a repo and its history; gc removes bytes nobody else needs.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
    """
    record = writable(house, actor, repo_id)
    house.catalog.repos.delete(record.id)


def change_settings(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    *,
    private: bool | None = None,
    gated: Gate | Literal[False] | None = None,
) -> RepoRecord:
    """Change visibility and gating; None leaves a setting as it is.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
    """
    record = writable(house, actor, repo_id)
    if private is not None:
        house.catalog.repos.update(record.id, private=private)
    if gated is not None:
        house.catalog.repos.update(record.id, gated=gated or "")
    return readable(house, actor, record.id)
