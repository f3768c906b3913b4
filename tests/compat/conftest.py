"""One hub and one interpreter per client for all tests; repos of its own for every test."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compat import minilm
from tests.compat.clients import LFS, MODES, OLD, XET, Client, Mode
from tests.compat.hubs import Hub

_numbers = itertools.count(1)


@dataclass(frozen=True)
class People:
    """Tokens of the hub's users. `acme` is an organisation of alice's."""

    alice: str
    alice_read_only: str
    bob: str
    admin: str


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The hub most tests share, with the settings a newcomer gets, but no wait for quiet."""
    with Hub(tmp_path_factory.mktemp("hub"), optimize_delay_s=2) as running:
        yield running


@pytest.fixture(scope="session")
def people(hub: Hub) -> People:
    alice, bob = hub.add_user("alice"), hub.add_user("bob")
    hub.cairn("org", "add", "acme", "--owner", "alice")
    return People(alice, hub.add_token("alice", "read"), bob, hub.admin_token)


def require(mode: Mode) -> None:
    """Skip where the old client was not installed; `scripts/test` installs it, and then must."""
    if not mode.python.exists():
        why = f"no {mode.python.parent.parent.name}: ./scripts/test makes it"
        if os.environ.get("CAIRN_OLD_CLIENT_REQUIRED"):
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture(scope="session")
def clients(
    hub: Hub, people: People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Mode], Client]]:
    """alice's client of each mode, started when first asked for."""
    started: dict[str, Client] = {}

    def of(mode: Mode) -> Client:
        require(mode)
        if mode.name not in started:
            home = tmp_path_factory.mktemp(f"client-{mode.name}")
            started[mode.name] = Client(mode, hub.url, people.alice, home)
        return started[mode.name]

    yield of
    for client in started.values():
        client.close()


@pytest.fixture(params=MODES, ids=[mode.name for mode in MODES])
def client(request: pytest.FixtureRequest, clients: Callable[[Mode], Client]) -> Client:
    """Each of the stock clients in turn, acting for alice."""
    return clients(request.param)


@pytest.fixture
def default_client(clients: Callable[[Mode], Client]) -> Client:
    """The current release as it comes, where the version makes no difference."""
    return clients(XET)


@pytest.fixture
def new_client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Client]]:
    """Makes further clients, with empty caches or another's; ends them with the test.

    They are alice's at the shared hub unless `url` and `token` say otherwise.
    """
    made: list[Client] = []

    def make(
        mode: Mode = XET, *, url: str = "", token: str = "", home: Path | None = None, **more: str
    ) -> Client:
        require(mode)
        home = home or tmp_path_factory.mktemp(f"client-{mode.name}-new")
        url = url or request.getfixturevalue("hub").url
        token = token or request.getfixturevalue("people").alice
        made.append(Client(mode, url, token, home, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A repo id of alice's that nobody has used yet."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    return f"alice/{stem[:70].strip('-')}-{next(_numbers)}"


@pytest.fixture
def repo(client: Client, name: str) -> str:
    """A new, empty model repo of alice's."""
    client.api.create_repo(name)
    return name


@pytest.fixture(scope="session")
def pushed_minilm(clients: Callable[[Mode], Client]) -> str:
    """The real MiniLM, pushed once by the default client; only for reading."""
    api = clients(XET).api
    repo = "alice/all-MiniLM-L6-v2"
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=minilm.FOLDER)
    return repo


@pytest.fixture(scope="module")
def multipart_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that takes everything above 100 kB in parts of 40 kB."""
    settings = {"lfs_multipart_threshold_bytes": 100_000, "lfs_part_bytes": 40_000}
    with Hub(tmp_path_factory.mktemp("multipart-hub"), **settings) as running:
        yield running


@pytest.fixture(scope="module", params=[LFS, OLD], ids=["lfs", "old"])
def multipart_client(
    request: pytest.FixtureRequest, multipart_hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """The clients that upload without Xet, at the hub that asks for parts."""
    require(request.param)
    home = tmp_path_factory.mktemp("multipart-client")
    client = Client(request.param, multipart_hub.url, multipart_hub.admin_token, home)
    yield client
    client.close()
