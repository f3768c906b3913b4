"""What a request to each route looks like: most follow from the path, the others are here."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from httpx2 import Response

from cairn.domain import Actor, RepoId, RepoType, Scope
from tests.hub.authorisation.world import WEIGHTS, World, make_repo, signed

OID = hashlib.sha256(WEIGHTS).hexdigest()
_PLACEHOLDER = re.compile(r"\{(\w+)(?::[\w|-]+)?\}")
_DEFAULTS = {
    "kind": "models",
    "revision": "main",
    "rev": "main",
    "revisions": "v1...main",
    "path": "secret.txt",
    "namespace": "lab",
    "organization": "lab",
    "name": "lab",
    "oid": OID,
    "sha256": OID,
    "hash": OID,
    "file": OID,
    "scope": "e1-AAAAAAAAAAAAAAAA-0123456789ab",
    "part": "1",
    "mode": "write",
    "verb": "tree",
    "rest": "main",
    "number": "999999",
    "state": "pending",
}


@dataclass
class Ask:
    """What one request adds to what its path says."""

    params: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)


Asking = Callable[[World, RepoId, str], Ask]


@dataclass
class Prepared:
    """A request that only has to be sent, and whatever it needs is there."""

    method: str
    path: str
    request: dict[str, Any]

    def send(self, world: World, role: str, headers: dict[str, str] | None = None) -> Response:
        """Send it in this role; `headers` win over those of the route."""
        request = dict(self.request)
        request["headers"] = {**request.get("headers", {}), **(headers or {})}
        return world.send(role, self.method, self.path, **request)


def prepared(world: World, row: str, role: str, repo: RepoId) -> Prepared:
    """A request to the route of a row, about this repo, for this role."""
    name, _, variant = row.partition(" (")
    *methods, template = name.split()
    asking = ASKING.get(f"{methods[0]} {template}" + (f" ({variant}" if variant else ""))
    ask = asking(world, repo, role) if asking else Ask()
    request = dict(ask.request)
    if not template.startswith(("/api/", "/cas/", "/v1/")) and ".git/" not in template:
        request["headers"] = {"accept": "text/html", **request.get("headers", {})}
    return Prepared(methods[0], filled(template, repo, ask.params), request)


def filled(template: str, repo: RepoId, params: dict[str, str]) -> str:
    """The path with its placeholders replaced."""
    in_api = f"{repo.type.plural}/{repo.full_name}"
    path = template.replace("REPO", in_api if template.startswith("/api/") else repo.url_path)
    known = {**_DEFAULTS, **params}
    return _PLACEHOLDER.sub(lambda found: known[found[1]], path)


def _json(**body: Any) -> Asking:
    return lambda world, repo, role: Ask(request={"json": body})


def _form(**fields: str) -> Asking:
    return lambda world, repo, role: Ask(request={"data": fields})


def _params(**params: str) -> Asking:
    return lambda world, repo, role: Ask(params)


def _create(world: World, repo: RepoId, role: str) -> Ask:
    return Ask(request={"json": {"name": world.fresh("made"), "organization": "lab"}})


def _delete(world: World, repo: RepoId, role: str) -> Ask:
    doomed = RepoId(RepoType.MODEL, "lab", world.fresh("doomed"))
    if world.exists(repo):
        make_repo(world.house, world.own, doomed, repo.name.partition("-")[0])
    return Ask(request={"json": {"name": doomed.name, "organization": doomed.namespace}})


def _duplicate(world: World, repo: RepoId, role: str) -> Ask:
    target = f"{world.roles[role].user or 'lab'}/{world.fresh('copy')}"
    return Ask(request={"json": {"repository": target}})


def _commit(world: World, repo: RepoId, role: str) -> Ask:
    file = {"path": world.fresh("file"), "content": "x", "encoding": "utf-8"}
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": file}]
    body = "\n".join(map(json.dumps, lines))
    return Ask({"revision": _side_branch(world, repo)}, {"content": body})


def _side_branch(world: World, repo: RepoId) -> str:
    """A fresh branch, so that `main` stays as the other rows expect it."""
    return _ref(world, repo, "refs/heads/")


def _ref(world: World, repo: RepoId, prefix: str) -> str:
    name = world.fresh("ref")
    if world.exists(repo):
        history, uid = world.house.catalog.history, world.uid(repo)
        history.create_ref(uid, prefix + name, history.resolve(uid, "main").id)
    return name


def _attach(world: World, repo: RepoId, role: str) -> Ask:
    return Ask(request={"content": signed(world, repo) if world.exists(repo) else b"{}"})


def _bundle(world: World, repo: RepoId, role: str) -> Ask:
    if not world.exists(repo):
        return Ask()
    content = signed(world, repo)
    path = f"/api/cairn/{repo.type.plural}/{repo.full_name}/signatures/main"
    assert world.send("owner", "POST", path, content=content).status_code in (200, 201)
    return Ask({"sha256": hashlib.sha256(content).hexdigest()})


def _batch(operation: str) -> Asking:
    return _json(operation=operation, objects=[{"oid": OID, "size": len(WEIGHTS)}])


def _end_session(world: World, repo: RepoId, role: str) -> Ask:
    user, number = world.roles[role].user, 0
    if user:
        sessions = world.house.catalog.sessions
        cookie = sessions.start(user, "password")
        number = next(one.id for one in sessions.list(user, cookie) if one.is_current)
    return Ask(request={"data": {"session": str(number)}})


def _waive(world: World, repo: RepoId, role: str) -> dict[str, str]:
    """Of a file that nobody has: a waiver is made once."""
    sha256 = hashlib.sha256(world.fresh("file").encode()).hexdigest()
    return {"sha256": sha256, "rule": "pickle-calls", "reason": "a drill"}


def _guest(world: World, repo: RepoId, *, has_asked: bool) -> str:
    """Somebody new, who has asked for access or has not."""
    name, catalog = world.fresh("guest"), world.house.catalog
    if world.exists(repo):
        by = Actor(catalog.accounts.create_user(name))
        if has_asked:
            catalog.access_requests.ask(catalog.repos.get(repo), by, "", {}, at_once=False)
    return name


def _decide(as_form: bool) -> Asking:
    def asking(world: World, repo: RepoId, role: str) -> Ask:
        user = _guest(world, repo, has_asked=True)
        if as_form:
            return Ask(request={"data": {"user": user, "state": "accepted"}})
        return Ask(request={"json": {"user": user, "status": "accepted"}})

    return asking


def _grant(kind: str) -> Asking:
    return lambda w, r, _: Ask(request={kind: {"user": _guest(w, r, has_asked=False)}})


def _revoke_token(world: World, repo: RepoId, role: str) -> Ask:
    user, name = world.roles[role].user, world.fresh("token")
    if user:
        world.house.catalog.tokens.create(user, name, Scope.READ)
    return Ask(request={"data": {"name": name}})


ASKING: dict[str, Asking] = {
    "POST /api/repos/create": _create,
    "DELETE /api/repos/delete": _delete,
    "PUT /api/REPO/settings": _json(),
    "POST /api/REPO/duplicate": _duplicate,
    "POST /api/REPO/paths-info/{revision}": _json(paths=["secret.txt"]),
    "POST /api/REPO/preupload/{revision}": _json(
        files=[{"path": "a.txt", "size": 1, "sample": "eA=="}]
    ),
    "POST /api/REPO/commit/{revision}": _commit,
    "POST /api/validate-yaml": _json(content="---\nlicense: mit\n---\n", repoType="model"),
    "POST /api/REPO/branch/{branch:path}": lambda w, r, _: Ask(
        {"branch": w.fresh("branch")}, {"json": {}}
    ),
    "DELETE /api/REPO/branch/{branch:path}": lambda w, r, _: Ask(
        {"branch": _ref(w, r, "refs/heads/")}
    ),
    "POST /api/REPO/tag/{tag:path}": lambda w, r, _: Ask(
        {"tag": "main"}, {"json": {"tag": w.fresh("tag")}}
    ),
    "DELETE /api/REPO/tag/{tag:path}": lambda w, r, _: Ask({"tag": _ref(w, r, "refs/tags/")}),
    "GET /api/REPO/tree/{revision}/{path:path}": _params(path="folder"),
    "POST /api/cairn/REPO/signatures/{rev:path}": _attach,
    "GET /api/cairn/REPO/bundle/{sha256}/{rev:path}": _bundle,
    "GET /api/cairn/log/tile/{path:path}": _params(path="entries/000.p/1"),
    "POST /REPO.git/info/lfs/objects/batch (upload)": _batch("upload"),
    "POST /REPO.git/info/lfs/objects/batch (download)": _batch("download"),
    "POST /REPO.git/info/lfs/objects/verify": _json(oid=OID, size=len(WEIGHTS)),
    "POST /REPO.git/info/lfs/objects/{oid}/complete": _json(oid=OID, parts=[]),
    "GET /REPO/tree/{rev}/{path:path}": _params(path="folder"),
    "GET /api/users/{name}/overview": _params(name="own"),
    "GET /static/{hash}/{name}": _params(name="cairn.css"),
    "POST /logout": _form(sent="yes"),
    "POST /notifications/read": _form(up_to="0"),
    "POST /api/cairn/notifications/read": _json(up_to=0),
    "POST /settings/account/password": _form(old="a", new="b", again="c"),
    "POST /settings/account/sessions/end": _end_session,
    "POST /settings/account/unlink": _form(issuer="https://id.example", subject="nobody"),
    "POST /settings/account/sessions/end-others": _form(sent="yes"),
    "POST /login": _form(token="no such token"),
    "POST /settings/tokens": lambda w, r, _: Ask(
        request={"data": {"name": w.fresh("token"), "scope": "read"}}
    ),
    "POST /settings/tokens/revoke": _revoke_token,
    "PUT /api/cairn/REPO/scan-policy": _json(policy=None),
    "PUT /api/cairn/scan-policy": _json(policy=None),
    "POST /security/policy": _form(policy="default"),
    "POST /api/cairn/REPO/appeals": _json(path="secret.txt", text="it is fine"),
    "POST /api/cairn/appeals/{number}/answer": _json(answer="uphold", reason="so it is"),
    "POST /api/cairn/waivers": lambda w, r, role: Ask(request={"json": _waive(w, r, role)}),
    "POST /api/cairn/waivers/{number}/revoke": _json(reason="so it is"),
    "POST /api/REPO/user-access-request/handle": _decide(as_form=False),
    "POST /api/REPO/user-access-request/grant": _grant("json"),
    "POST /REPO/ask-access": _form(message="please"),
    "POST /REPO/access-requests/decide": _decide(as_form=True),
    "POST /REPO/access-requests/grant": _grant("data"),
    "POST /REPO/security-policy": _form(policy="default"),
    "POST /REPO/security-appeal/{rev}": _form(path="secret.txt", text="it is fine"),
    "POST /REPO/security-waive": lambda w, r, role: Ask(
        request={"data": {**_waive(w, r, role), "where": "everywhere"}}
    ),
    "POST /security/appeals/{number}/answer": _form(answer="uphold", reason="so it is"),
    "POST /security/waivers/{number}/revoke": _form(reason="so it is"),
}
