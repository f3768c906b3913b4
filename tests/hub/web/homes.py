"""A hub over a real catalog and store, with short ways to fill it and to look at it."""

import json
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi.testclient import TestClient

from cairn.catalog import Change, PutFile, gitobjects, open_catalog
from cairn.config import Settings
from cairn.domain import Actor, RepoId, RepoType, Revision, Scope
from cairn.formats import READERS
from cairn.hub.app import create_app
from cairn.provenance.log import Signatory
from cairn.store import open_local_store
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.repos import create_repo

SECRET = "s" * 32
HTML = {"accept": "text/html"}
OURS = {**HTML, "sec-fetch-site": "same-origin"}
LARGE = (".safetensors", ".bin", ".png")


@dataclass
class Home:
    """A running house with the user `ada`, her write token and a second user `bob`."""

    house: House
    app: object
    client: TestClient
    token: str
    stranger_token: str
    ada: Actor

    def repo(
        self,
        name: str,
        files: dict[str, bytes] | None = None,
        *,
        private: bool = False,
        kind: RepoType = RepoType.MODEL,
    ) -> RepoId:
        """Make a repo of ada's and commit these files to it."""
        repo_id = RepoId.parse(kind, name)
        sdk = "static" if kind is RepoType.SPACE else None
        create_repo(self.house, self.ada, repo_id, private=private, sdk=sdk)
        if files:
            self.commit(repo_id, files)
        return repo_id

    def commit(
        self,
        repo_id: RepoId,
        files: dict[str, bytes],
        title: str = "Add files",
        branch: str = "refs/heads/main",
        description: str = "",
    ) -> Revision:
        """One commit with these files, and the card read as the hub would."""
        record = self.house.catalog.repos.get(repo_id)
        revision = self.house.catalog.history.commit(
            record.uid,
            branch,
            [self._change(path, content) for path, content in files.items()],
            expected_parent=None,
            author=self.ada.account,
            title=title,
            description=description,
            when=datetime.now(UTC),
        )
        sync_card(self.house, record)
        return revision

    def _change(self, path: str, content: bytes) -> Change:
        blob = self.house.store.put_bytes(content)
        if path.endswith(LARGE):
            return PutFile.large(path, blob)
        return PutFile.regular(path, blob, gitobjects.blob_oid_of(content))

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str):
        """Send a form as a browser does that has our page open."""
        sent = {"csrf": self.csrf(), **(data or {})}
        return self.client.post(
            path, data=sent, headers={**OURS, **headers}, follow_redirects=False
        )

    def csrf(self) -> str:
        """What makes a form of this browser's one of ours."""
        return csrf_of(self.client)

    def sign_in(self, token: str | None = None, target: str = "/ada"):
        """Open a session with a token, ada's unless another is given."""
        return self.post("/login", {"token": token or self.token, "next": target})

    def page(self, path: str, *, token: str | None = None, status: int = 200) -> str:
        """The HTML of a page, which must answer with this status."""
        headers = dict(HTML)
        if token:
            headers["authorization"] = f"Bearer {token}"
        response = self.client.get(path, headers=headers, follow_redirects=False)
        assert response.status_code == status, (path, response.status_code, response.text[:500])
        assert response.headers["content-type"].startswith("text/html"), path
        return response.text


def csrf_of(client: TestClient) -> str:
    """The token in the forms of a page that this browser is shown."""
    page = client.get("/login", headers=HTML).text
    return re.search(r'name="csrf" value="([^"]+)"', page).group(1)


@contextmanager
def open_home(folder: Path, **settings: object) -> Iterator[Home]:
    """A home in this folder, closed afterwards."""
    given = {"scan_policy": "allow", **settings}  # no worker scans what tests put here
    chosen = Settings(
        data_dir=folder, secret=SECRET, allowed_hosts=("testserver", "127.0.0.1"), **given
    )
    catalog = open_catalog(f"sqlite:///{folder / 'cairn.db'}")
    store = open_local_store(folder / "store")
    signatory = Signatory(folder / "log-key", folder / "log-head", None)
    house = House(catalog, store, READERS, lambda: datetime.now(UTC), signatory)
    catalog.accounts.create_user("ada", full_name="Ada Lovelace")
    catalog.accounts.create_user("bob")
    token = catalog.tokens.create("ada", "laptop", Scope.WRITE)
    stranger = catalog.tokens.create("bob", "phone", Scope.WRITE)
    app = create_app(house, chosen)
    client = TestClient(app, raise_server_exceptions=False)
    try:
        yield Home(house, app, client, token, stranger, catalog.tokens.actor(token))
    finally:
        close = getattr(catalog, "close", None)
        if close:
            close()


def safetensors(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file, written by hand: name -> (dtype, shape, bytes)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (dtype, shape, content) in tensors.items():
        start = len(body)
        body += content
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, len(body)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
