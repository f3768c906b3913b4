"""What the stock client sends of a fine-tune whose base is on the hub, for whom, and over what."""

import random
from collections.abc import Callable

import pytest

from tests.compat.clients import LFS, XET, Client
from tests.compat.conftest import People
from tests.compat.hubs import Hub

RNG = random.Random(5)
SIZE = 4_000_000
CHANGED = 300_000
BASE = RNG.randbytes(SIZE)
TUNED = BASE[:-CHANGED] + RNG.randbytes(CHANGED)
EDGES = 4 * 128 * 1024


def staged_bytes(hub: Hub) -> int:
    """What has arrived as xorbs: noise does not shrink on its way."""
    return sum(path.stat().st_size for path in (hub.data / "store").rglob("xorb-*"))


def sent(hub: Hub, client: Client, repo: str, data: bytes) -> int:
    """Bytes of xorbs that a push into a new private repo takes; it must come back the same."""
    client.api.create_repo(repo, private=True)
    before = staged_bytes(hub)
    client.api.upload_file(path_or_fileobj=data, path_in_repo="m.safetensors", repo_id=repo)
    assert client.run(_downloaded, repo) == data
    return staged_bytes(hub) - before


def _downloaded(repo):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from huggingface_hub import hf_hub_download

    with TemporaryDirectory() as folder:
        return Path(hf_hub_download(repo, "m.safetensors", cache_dir=folder)).read_bytes()


@pytest.fixture
def private_base(default_client: Client, name: str) -> str:
    default_client.api.create_repo(name, private=True)
    default_client.api.upload_file(path_or_fileobj=BASE, path_in_repo="m.safetensors", repo_id=name)
    return name


def test_the_owner_sends_what_changed_and_a_stranger_sends_everything(
    hub: Hub, people: People, new_client: Callable[..., Client], private_base: str
) -> None:
    stranger = new_client(XET, token=people.bob)
    owner_elsewhere = new_client(XET)
    assert sent(hub, stranger, "bob/tuned", TUNED) >= SIZE
    assert sent(hub, owner_elsewhere, f"{private_base}-tuned", TUNED) < CHANGED + EDGES


def test_by_lfs_the_owner_sends_nothing_of_the_same_file_and_a_stranger_all_of_it(
    hub: Hub, people: People, new_client: Callable[..., Client], private_base: str
) -> None:
    for token, repo, puts in (
        (people.bob, "bob/copy", 1),
        (people.alice, f"{private_base}-copy", 0),
    ):
        client = new_client(LFS, token=token)
        mark = hub.mark()
        sent(hub, client, repo, BASE)
        assert sum(line.startswith("PUT ") for line in hub.requests(mark)) == puts
