"""A hub with one person per role and one repo per visibility and sort, asked in every role.

The organisation `lab` owns every repo. `session` is the owner's browser on a page of ours,
`no-csrf` the same without the token of that page, `foreign` the same sent here by another site,
`revoked` an access token that is no more.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from httpx2 import Response
from starlette.testclient import TestClient

from cairn.bootstrap import open_house
from cairn.catalog import PutFile, RepoRecord
from cairn.config import Settings
from cairn.domain import Actor, OrgRole, RepoId, RepoType, Scope
from cairn.hub.app import create_app
from cairn.provenance.signing import Signer
from cairn.workflows import gate
from cairn.workflows.commit import Message, commit, put_regular
from cairn.workflows.house import House
from cairn.workflows.repos import change_settings, create_repo
from cairn.workflows.signing import sign_digests
from cairn.workflows.transparency import settle
from tests.provenance.models import new_key

VISIBILITIES = ("public", "private", "gated")
SECRET_TEXT = b"nobody outside may read this\n"
CARD = b"---\nlicense: mit\n---\n# A card\n"
PEOPLE = {
    "eve": None,  # a stranger
    "gra": None,  # another, whom the owner let in to gated repos
    "rea": OrgRole.READ,
    "con": OrgRole.CONTRIBUTOR,
    "wil": OrgRole.WRITE,
    "own": OrgRole.ADMIN,
    "adm": None,  # administers the hub
}
WEIGHTS = b"\x10\0\0\0\0\0\0\0{}              "  # a safetensors file without tensors


@dataclass(frozen=True)
class Role:
    """How requests are sent: in whose name, with what; a browser's in a session of their own."""

    name: str
    user: str | None
    headers: dict[str, str]
    is_browser: bool = False
    has_csrf: bool = True


@dataclass
class World:
    """The hub, and everybody's way in."""

    house: House
    client: TestClient
    roles: dict[str, Role]
    own: Actor
    numbers: Iterator[int] = field(default_factory=lambda: count(100_000))

    def fresh(self, prefix: str) -> str:
        """A name nothing has yet."""
        return f"{prefix}-{next(self.numbers)}"

    def send(self, role: str, method: str, path: str, **request: object) -> Response:
        """One request in this role; `headers` come on top of the role's."""
        who = self.roles[role]
        headers = {**who.headers, **request.pop("headers", {})}
        if who.is_browser:
            headers["Cookie"] = self._new_session(who.user)
        if who.is_browser and who.has_csrf and "data" in request:
            token = self._csrf(headers["Cookie"])
            request["data"] = {**request["data"], "csrf": token}
        self.client.cookies.clear()
        return self.client.request(method, path, headers=headers, **request)

    def _new_session(self, user: str) -> str:
        return f"cairn_session={self.house.catalog.sessions.start(user, 'password')}"

    def _csrf(self, cookie: str) -> str:
        page = self.client.get("/", headers={"accept": "text/html", "Cookie": cookie}).text
        return re.search(r'name="csrf" value="([^"]+)"', page).group(1)

    def uid(self, repo: RepoId) -> str:
        return self.house.catalog.repos.get(repo).uid

    def exists(self, repo: RepoId) -> bool:
        return "missing" not in repo.name


def repo_named(visibility: str, kind: RepoType = RepoType.MODEL) -> RepoId:
    return RepoId(kind, "lab", f"{visibility}-repo")


def make_repo(house: House, by: Actor, repo: RepoId, visibility: str) -> None:
    """A repo of this visibility with a text, weights and a card."""
    sdk = "static" if repo.type is RepoType.SPACE else None
    create_repo(house, by, repo, private=visibility == "private", sdk=sdk)
    if visibility == "gated":
        change_settings(house, by, repo, gated="manual")


def fill(house: House, by: Actor, repo: RepoId, card: bytes = CARD) -> None:
    record = house.catalog.repos.get(repo)
    large = house.store.put_bytes(WEIGHTS)
    house.catalog.uploads.record(record.uid, large)
    changes = [
        put_regular(house, "secret.txt", SECRET_TEXT),
        put_regular(house, "folder/more.txt", b"more\n"),
        put_regular(house, "README.md", card),
        PutFile.large("model.safetensors", large),
    ]
    commit(house, by, repo, "main", changes, Message("Add files"))
    house.catalog.history.create_ref(record.uid, "refs/tags/v1", _head(house, repo), by=by)


def _head(house: House, repo: RepoId) -> str:
    return house.catalog.history.resolve(_record(house, repo).uid, "main").id


def _record(house: House, repo: RepoId) -> RepoRecord:
    return house.catalog.repos.get(repo)


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    settings = Settings(data_dir=folder, secret="s" * 40)
    house = open_house(settings)
    accounts, tokens = house.catalog.accounts, house.catalog.tokens
    for name in PEOPLE:
        accounts.create_user(name, is_admin=name == "adm")
    accounts.create_organisation("lab", owner="own")
    for name, role in PEOPLE.items():
        if role is not None:
            accounts.set_member("lab", name, role)
    own = tokens.actor(tokens.create("own", "setting up", Scope.WRITE))
    for kind in RepoType:
        for visibility in VISIBILITIES:
            make_repo(house, own, repo_named(visibility, kind), visibility)
            fill(house, own, repo_named(visibility, kind))
        gate.grant(house, own, repo_named("gated", kind), "gra")
        # One that was gated once. It must not matter there.
        house.catalog.access_requests.grant(_record(house, repo_named("private", kind)), "gra", own)
    settle(house)
    with ExitStack() as stack:
        client = TestClient(
            create_app(house, settings),
            base_url="http://localhost",
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        stack.callback(house.catalog.close)
        stack.enter_context(client)
        yield World(house, client, _roles(house), own)


def _roles(house: House) -> dict[str, Role]:
    tokens = house.catalog.tokens

    def bearer(user: str, scope: Scope) -> dict[str, str]:
        return {"Authorization": f"Bearer {tokens.create(user, scope.value, scope)}"}

    revoked = {"Authorization": f"Bearer {tokens.create('own', 'lost', Scope.WRITE)}"}
    tokens.revoke("own", "lost")
    known = [
        Role("anonymous", None, {}),
        Role("stranger", "eve", bearer("eve", Scope.WRITE)),
        Role("granted", "gra", bearer("gra", Scope.WRITE)),
        Role("reader", "rea", bearer("rea", Scope.WRITE)),
        Role("contributor", "con", bearer("con", Scope.WRITE)),
        Role("writer", "wil", bearer("wil", Scope.WRITE)),
        Role("owner", "own", bearer("own", Scope.WRITE)),
        Role("owner-read", "own", bearer("own", Scope.READ)),
        Role("admin", "adm", bearer("adm", Scope.WRITE)),
        Role("admin-read", "adm", bearer("adm", Scope.READ)),
        Role("session", "own", {"Sec-Fetch-Site": "same-origin"}, is_browser=True),
        Role("no-csrf", "own", {"Sec-Fetch-Site": "same-origin"}, is_browser=True, has_csrf=False),
        Role("foreign", "own", {"Sec-Fetch-Site": "cross-site"}, is_browser=True),
        Role("revoked", None, revoked),
    ]
    return {role.name: role for role in known}


def signed(world: World, repo: RepoId) -> bytes:
    """A bundle that signs the repo's main branch."""
    catalog = world.house.catalog
    manifest = catalog.history.manifest(catalog.history.resolve(world.uid(repo), "main").tree)
    digests = {path: entry.blob.digest.hex for path, entry in manifest.entries.items()}
    return sign_digests("m", digests, _SIGNER)[0].as_bytes()


_SIGNER = Signer(new_key())
