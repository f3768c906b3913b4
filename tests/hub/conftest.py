"""A real house in a temporary folder, the hub over it, and people with tokens."""

import base64
import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import uvicorn
from starlette.testclient import TestClient

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import OrgRole, Scope
from cairn.hub.app import create_app
from cairn.workflows.house import House

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

SECRET = "a-secret-for-tests-that-is-long-enough"


@dataclass
class Hub:
    """The hub under test and the tokens of its people."""

    house: House
    settings: Settings
    tokens: dict[str, str]

    def client(self, who: str | None = None, **settings: object) -> TestClient:
        """A client that sends `who`'s token; settings replace the hub's."""
        app = create_app(self.house, self.settings.model_copy(update=settings))
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return TestClient(
            app,
            base_url="http://localhost",
            headers=headers,
            follow_redirects=False,
            raise_server_exceptions=False,
        )


def make_hub(folder: Path) -> Hub:
    settings = Settings(data_dir=folder, secret=SECRET)
    house = open_house(settings)
    accounts, tokens = house.catalog.accounts, house.catalog.tokens
    for name in ("ann", "bob", "eve"):
        accounts.create_user(name, full_name=name.title())
    accounts.create_organisation("lab", owner="ann")
    accounts.set_member("lab", "bob", OrgRole.READ)
    made = {name: tokens.create(name, "all", Scope.WRITE) for name in ("ann", "bob", "eve")}
    made["ann-reader"] = tokens.create("ann", "reader", Scope.READ)
    return Hub(house, settings, made)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """Made once: migrating a fresh database takes most of a small test's time."""
    hub = make_hub(tmp_path_factory.mktemp("prepared") / "data")
    hub.house.catalog.close()
    return hub


@contextmanager
def copy_of(prepared: Hub, folder: Path) -> Iterator[Hub]:
    """A hub of one's own in `folder`, as `prepared` was."""
    shutil.copytree(prepared.settings.data_dir, folder)
    settings = prepared.settings.model_copy(update={"data_dir": folder})
    house = open_house(settings)
    yield Hub(house, settings, prepared.tokens)
    house.catalog.close()


@pytest.fixture
def hub(prepared: Hub, tmp_path: Path) -> Iterator[Hub]:
    with copy_of(prepared, tmp_path / "data") as hub:
        yield hub


@pytest.fixture
def ann(hub: Hub) -> TestClient:
    return hub.client("ann")


class Repo:
    """One repo through a client: the calls most tests need."""

    def __init__(self, client: TestClient, name: str = "ann/m", kind: str = "models") -> None:
        self.client = client
        self.name = name
        self.api = f"/api/{kind}/{name}"
        self.files = f"/{name}" if kind == "models" else f"/{kind}/{name}"

    def create(self, **fields: object) -> "Repo":
        answer = self.client.post("/api/repos/create", json={"name": self.name, **fields})
        assert answer.status_code == 200, answer.text
        return self

    def commit(self, *operations: dict, branch: str = "main", query: str = "", **header: object):
        lines = [{"key": "header", "value": {"summary": "s", **header}}, *operations]
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        return self.client.post(f"{self.api}/commit/{branch}{query}", content=body)

    def put(self, path: str, content: bytes) -> str:
        answer = self.commit(self.file(path, content))
        assert answer.status_code == 200, answer.text
        return answer.json()["commitOid"]

    @staticmethod
    def file(path: str, content: bytes) -> dict:
        text = base64.b64encode(content).decode()
        return {"key": "file", "value": {"path": path, "content": text, "encoding": "base64"}}

    @staticmethod
    def large(path: str, oid: str, size: int | None = None) -> dict:
        value = {"path": path, "algo": "sha256", "oid": oid}
        return {"key": "lfsFile", "value": value if size is None else {**value, "size": size}}

    def through(self, client: TestClient) -> "Repo":
        """The same repo as somebody else sees it."""
        other = Repo(client, self.name)
        other.api, other.files = self.api, self.files
        return other

    def head(self) -> str:
        return self.client.get(self.api).json()["sha"]

    def batch(self, *objects: dict, operation: str = "upload", transfers: tuple = ("basic",)):
        body = {"operation": operation, "objects": objects, "transfers": list(transfers)}
        return self.client.post(f"{self.files}.git/info/lfs/objects/batch", json=body)

    def put_large(self, content: bytes) -> str:
        """Send the bytes through LFS; returns their SHA-256."""
        oid = hashlib.sha256(content).hexdigest()
        shape = self.batch({"oid": oid, "size": len(content)}).json()["objects"][0]
        if "actions" in shape:
            answer = self.client.put(shape["actions"]["upload"]["href"], content=content)
            assert answer.status_code == 200, answer.text
        return oid


@pytest.fixture
def repo(ann: TestClient) -> Repo:
    return Repo(ann).create()


@dataclass
class LiveHub:
    """A hub that listens, and a way to run the real client against it."""

    hub: Hub
    url: str
    folder: Path

    def run(self, script: str, who: str = "ann", **environment: str) -> str:
        """Run Python with huggingface_hub in a fresh process; its output, or a failure."""
        home = self.folder / "hf-home"
        variables = {
            **os.environ,
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.hub.tokens[who],
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    folder = tmp_path_factory.mktemp("live")
    hub = make_hub(folder / "data")
    small_parts = hub.settings.model_copy(
        update={
            "lfs_multipart_threshold_bytes": 3_000_000,
            "lfs_part_bytes": 1_000_000,
            "scan_policy": "hold",
        }
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(hub.house, small_parts)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield LiveHub(hub, f"http://127.0.0.1:{listener.getsockname()[1]}", folder)
    server.should_exit = True
    thread.join(10)
