"""The SQL conditions over all repos say what the functions about one repo say."""

import hashlib
from dataclasses import replace
from itertools import product
from pathlib import Path

from cairn.bootstrap import open_house
from cairn.catalog import PutFile, RepoRecord
from cairn.config import Settings
from cairn.domain import (
    ANONYMOUS,
    AccessState,
    Actor,
    Blob,
    Digest,
    Grant,
    OrgRole,
    RepoId,
    RepoType,
    Scope,
)
from cairn.errors import ForbiddenError, NotFoundError
from cairn.workflows.access import named_reader, openable
from cairn.workflows.house import House

PEOPLE = ("owner", "stranger", "contributor", "reader", "root", "pending", "accepted", "rejected")
GRANTS = (
    "read:Lab",
    "read:owner/m-False-manual",
    "write:owner/m-False-auto",
    "read:datasets/Lab/x",
)


def peopled_house(folder: Path) -> House:
    house = open_house(Settings(data_dir=folder))
    for name in PEOPLE:
        house.catalog.accounts.create_user(name, is_admin=name == "root")
    house.catalog.accounts.create_organisation("Lab", owner="owner")
    for name, role in (("contributor", OrgRole.CONTRIBUTOR), ("reader", OrgRole.READ)):
        house.catalog.accounts.set_member("Lab", name, role)
    return house


def repo_with_a_blob(house: House, namespace: str, private: bool, gated: str) -> tuple:
    """A repo and the one blob that no other repo has."""
    repo_id = RepoId(RepoType.MODEL, namespace, f"m-{private}-{gated}")
    record = house.catalog.repos.create(repo_id, private=private)
    house.catalog.repos.update(repo_id, gated=gated)
    digest = Digest.sha256(hashlib.sha256(str(repo_id).encode()).hexdigest())
    house.catalog.history.commit(
        record.uid,
        "refs/heads/main",
        [PutFile.large("m.bin", Blob(digest, 7))],
        expected_parent=None,
        author=house.catalog.accounts.get("owner"),
        title="Add",
        when=house.clock(),
    )
    ask_for(house, house.catalog.repos.get(repo_id))
    return repo_id, digest


def ask_for(house: House, record: RepoRecord) -> None:
    """A request of each state, by the people who are called so."""
    kept = house.catalog.access_requests
    for state in AccessState:
        kept.ask(record, named_reader(house, state.value), "", {}, at_once=False)
        if state is not AccessState.PENDING:
            kept.decide(record, state.value, state, "", None)


def narrow(house: House, name: str, grants: tuple[str, ...]) -> Actor:
    """Somebody with a token for some repos."""
    whole = named_reader(house, name)
    return replace(whole, scope=Scope.FINE_GRAINED, grants=tuple(map(Grant.parse, grants)))


def may_open(house: House, actor: Actor, repo_id: RepoId) -> bool:
    try:
        openable(house, actor, repo_id)
    except (ForbiddenError, NotFoundError):
        return False
    return True


def test_a_blob_is_readable_where_its_repo_may_be_opened(tmp_path: Path) -> None:
    house = peopled_house(tmp_path)
    actors = [ANONYMOUS, *(named_reader(house, name) for name in PEOPLE)]
    actors += [narrow(house, name, GRANTS) for name in PEOPLE]
    actors += [narrow(house, "accepted", (one,)) for one in GRANTS]
    told = []
    for namespace, private, gated in product(
        ("owner", "Lab"), (False, True), ("off", "auto", "manual")
    ):
        repo_id, digest = repo_with_a_blob(house, namespace, private, gated)
        for actor in actors:
            readable = house.catalog.history.readable_blob(actor, digest) is not None
            assert readable == may_open(house, actor, repo_id), (actor.name, actor.grants, repo_id)
            told.append(readable)
    assert 0 < sum(told) < len(told)
