"""Repos and revisions for tests that push what others pushed before."""

import hashlib
import uuid

from cairn.catalog import PutFile
from cairn.domain import Blob, Digest
from tests.hub.xet.builders import File, Xorb
from tests.hub.xet.conftest import XetHub


def whole(xorb: Xorb) -> File:
    """The file that has exactly the chunks of a xorb."""
    return File([(xorb, 0, len(xorb.chunks))])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def new_repo(hub: XetHub, owner: str) -> str:
    name = f"{owner}/{uuid.uuid4().hex[:12]}"
    hub.house.catalog.repos.create(hub.repo_id(name), private=False)
    return name


def commit(hub: XetHub, repo: str, data: bytes) -> None:
    """Name what was pushed in a revision."""
    hub.house.catalog.history.commit(
        hub.uid(repo),
        "refs/heads/main",
        [PutFile.large("model.safetensors", Blob(Digest.sha256(sha256(data)), len(data)))],
        expected_parent=None,
        author=hub.house.catalog.accounts.get(repo.partition("/")[0]),
        title="Push",
        when=hub.clock(),
    )
