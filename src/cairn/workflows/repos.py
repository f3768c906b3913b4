"""Creates, changes and deletes repos."""

from typing import Literal

from cairn.catalog import PutFile, RepoRecord, gitobjects
from cairn.domain import Account, Actor, RepoId, RepoType
from cairn.errors import RequestError
from cairn.workflows.access import administrable, openable, require_writer
from cairn.workflows.attributes import DEFAULT_GITATTRIBUTES
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.quotas import check_committed

INITIAL_TITLE = "initial commit"
SPACE_SDKS = ("gradio", "streamlit", "docker", "static")
SYSTEM = Account(name="system", full_name="system")

Gate = Literal["auto", "manual"]


def create_repo(
    house: House, actor: Actor, repo_id: RepoId, *, private: bool, sdk: str | None = None
) -> RepoRecord:
    """Make a repo whose branch `main` holds one commit with the default `.gitattributes`.

    Raises:
        UnauthenticatedError, ForbiddenError: `actor` may not create repos in the namespace.
        NotFoundError: the namespace does not exist.
        ConflictError: the repo exists.
        RequestError: a space has no or an unknown `sdk`.
    """
    require_writer(actor, repo_id.namespace)
    if repo_id.type is not RepoType.SPACE:
        sdk = None
    elif sdk not in SPACE_SDKS:
        raise RequestError(f"a space needs an sdk, one of {', '.join(SPACE_SDKS)}; got {sdk!r:.40}")
    record = house.catalog.repos.create(repo_id, private=private, sdk=sdk, by=actor)
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


def duplicate_repo(
    house: House, actor: Actor, source: RepoId, target: RepoId, *, private: bool | None = None
) -> RepoRecord:
    """Make a repo that starts with the files of another one's default branch, in one commit.

    No bytes are copied: both repos name the same blobs. `private` None means as the source;
    a gated repo's copy is gated too.

    Raises:
        RepoNotFoundError, GatedError: `actor` may not read the source's files.
        UnauthenticatedError, ForbiddenError: `actor` may not create the target.
        ConflictError: the target exists.
        QuotaError: the target's namespace has no room for the files.
    """
    require_writer(actor, target.namespace)
    record = openable(house, actor, source)
    manifest = house.catalog.history.manifest(
        house.catalog.history.resolve(record.uid, record.default_ref).tree
    )
    check_committed(house, target.namespace, [e.blob for e in manifest.entries.values()])
    changes = [
        PutFile(e.path, house.store.touch(e.blob.digest), e.oid, e.lfs, e.pointer_size_bytes)
        for e in manifest.entries.values()
    ]
    hidden = record.private if private is None else private
    made = house.catalog.repos.create(target, private=hidden, sdk=record.sdk, by=actor)
    if record.gated is not None:
        house.catalog.repos.update(target, gated=record.gated, by=actor)
    assert actor.account is not None  # require_writer() saw to it
    house.catalog.history.commit(
        made.uid,
        made.default_ref,
        changes,
        expected_parent=None,
        author=actor.account,
        title=f"Duplicate from {record.id.full_name}",
        when=house.clock(),
    )
    sync_card(house, made)
    return house.catalog.repos.get(made.id)


def delete_repo(house: House, actor: Actor, repo_id: RepoId) -> None:
    """Forget a repo and its history; gc removes bytes nobody else needs.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.administrable`.
    """
    record = administrable(house, actor, repo_id)
    house.catalog.repos.delete(record.id, by=actor)


def change_settings(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    *,
    private: bool | None = None,
    gated: Gate | Literal[False] | None = None,
    safetensors_views: bool | Literal["default"] | None = None,
) -> RepoRecord:
    """Change visibility, gating and safetensors views; None leaves a setting as it is.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.administrable`.
    """
    record = administrable(house, actor, repo_id)
    return house.catalog.repos.update(
        record.id,
        private=private,
        gated="off" if gated is False else gated,
        safetensors_views=safetensors_views,
        by=actor,
    )
