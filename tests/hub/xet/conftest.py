"""A real house behind a hub of which only the Xet routes matter, in a thread and in memory."""

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import hf_xet
import httpx2 as httpx
import pytest
import uvicorn

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import Digest, RepoId, RepoType, Scope
from cairn.hub.app import create_app
from cairn.workflows.house import House

SECRET = "a-secret-for-tests-that-is-long-enough"


@dataclass
class Clock:
    """The present, or some time after it."""

    ahead_s: float = 0.0

    def __call__(self) -> datetime:
        return datetime.now().astimezone() + timedelta(seconds=self.ahead_s)


@dataclass
class XetHub:
    """A listening hub with repos of ann and bob, and ways to reach it."""

    url: str
    house: House
    settings: Settings
    clock: Clock
    tokens: dict[str, str]
    # Making one for each request takes longer than the request.
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    def connect(self, repo: str = "ann/one", kind: str = "write", who: str = "ann") -> dict:
        """What the token endpoint answers."""
        answer = self.http(f"/api/models/{repo}/xet-{kind}-token/main", who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def http(self, path: str, who: str | None = None, **options: object) -> httpx.Response:
        method = options.pop("method", "GET")
        headers = dict(options.pop("headers", {}))
        if who:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        url = path if path.startswith("http") else self.url + path
        return self._client.request(method, url, headers=headers, **options)

    def cas(self, grant: dict, path: str, body: bytes | None = None, **options: object):
        """A CAS request with the token of `grant`."""
        headers = {"Authorization": f"Bearer {grant['accessToken']}", **options.pop("headers", {})}
        method = "GET" if body is None else "POST"
        url = grant["casUrl"] + path
        options.setdefault("method", method)
        return self.http(url, headers=headers, content=body, **options)

    def push(self, *contents: bytes | Path, repo: str = "ann/one", sha256=hf_xet.COMPUTE_SHA256):
        """Upload with the real client; gives what it says about each file."""
        refresh = f"{self.url}/api/models/{repo}/xet-write-token/main"
        headers = {"Authorization": f"Bearer {self.tokens[repo.partition('/')[0]]}"}
        session = hf_xet.XetSession()
        with session.new_upload_commit(
            token_refresh_url=refresh, token_refresh_headers=headers
        ) as commit:
            handles = [
                commit.start_upload_file(str(c), sha256=sha256)
                if isinstance(c, Path)
                else commit.start_upload_bytes(c, sha256=sha256)
                for c in contents
            ]
        return [handle.result() for handle in handles]

    @staticmethod
    def repo_id(repo: str) -> RepoId:
        return RepoId.parse(RepoType.MODEL, repo)

    def uid(self, repo: str = "ann/one") -> str:
        return self.house.catalog.repos.get(self.repo_id(repo)).uid

    def received(self, sha256: str, repo: str = "ann/one") -> bytes | None:
        """The bytes this repo may commit under a SHA-256."""
        blob = self.house.catalog.uploads.get(self.uid(repo), Digest.sha256(sha256))
        if blob is None:
            return None
        return self.house.store.read_bytes(blob.digest, blob.size_bytes)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XetHub]:
    folder = tmp_path_factory.mktemp("xet")
    settings = Settings(data_dir=folder, secret=SECRET, max_file_bytes=300 << 20)
    clock = Clock()
    house = dataclasses.replace(open_house(settings), clock=clock)
    tokens = {}
    for name in ("ann", "bob"):
        house.catalog.accounts.create_user(name)
        tokens[name] = house.catalog.tokens.create(name, "all", Scope.WRITE)
        for repo in ("one", "two"):
            repo_id = RepoId(RepoType.MODEL, name, repo)
            house.catalog.repos.create(repo_id, private=repo == "two")
    tokens["ann-reader"] = house.catalog.tokens.create("ann", "reader", Scope.READ)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(house, settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield XetHub(url, house, settings, clock, tokens)
    server.should_exit = True
    thread.join(10)


@pytest.fixture(autouse=True)
def _own_client_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's memory of what it uploaded begins empty in each test."""
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "client-cache"))
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1")


@pytest.fixture(autouse=True)
def _present(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").clock.ahead_s = 0.0
