"""A fine-grained token does what it lists, as far as its owner may, and nothing else anywhere."""

import hashlib
import itertools
import json

import pytest

from cairn.domain import Grant, OrgRole, Permission, RepoId, RepoType, Scope
from cairn.errors import NamingError, RequestError
from tests.hub.conftest import Hub, Repo

NUMBERS = itertools.count()


@pytest.fixture
def lab(hub: Hub, ann) -> Hub:
    """Private repos of ann and of the lab that she administers, and a public one of eve."""
    for name in ("ann/own", "ann/other", "lab/kept", "lab/more"):
        Repo(ann, name).create(private=True).put("a.txt", b"secret")
    Repo(hub.client("eve"), "eve/open").create().put("a.txt", b"open")
    return hub


def client_with(hub: Hub, *grants: str, user: str = "ann"):
    secret = hub.house.catalog.tokens.create(
        user, f"fine {next(NUMBERS)}", Scope.FINE_GRAINED, grants=[Grant.parse(g) for g in grants]
    )
    client = hub.client()
    client.headers["authorization"] = f"Bearer {secret}"
    return client


def seen(client) -> set[str]:
    return {repo["id"] for repo in client.get("/api/models").json()}


@pytest.mark.parametrize(
    ("grants", "private"),
    [
        (("read:ann/own",), {"ann/own"}),
        (("read:lab",), {"lab/kept", "lab/more"}),
        (("write:ANN/own", "admin:Lab/kept"), {"ann/own", "lab/kept"}),
        (("read:datasets/ann/own",), set()),
        (("read:eve", "admin:bob"), set()),
    ],
)
def test_it_sees_of_what_is_private_only_what_it_lists(lab, grants, private):
    client = client_with(lab, *grants)
    assert seen(client) == private | {"eve/open"}
    for name in ("ann/own", "ann/other", "lab/kept", "lab/more", "eve/open"):
        wanted = 200 if name in private | {"eve/open"} else 404
        for path in (f"/api/models/{name}", f"/{name}/resolve/main/a.txt", f"/{name}"):
            accept = {"accept": "text/html"}
            assert client.get(path, headers=accept).status_code == wanted, path
    assert {r["id"] for r in client.get("/api/settings/repositories").json()} == {
        name for name in private if name.startswith("ann/")
    }


@pytest.mark.parametrize(
    ("grant", "commit", "settings"),
    [
        ("read:ann/own", 403, 403),
        ("write:ann/own", 200, 403),
        ("admin:ann/own", 200, 200),
        ("write:ann", 200, 403),
        ("admin:ann", 200, 200),
        ("write:lab", 404, 404),
    ],
)
def test_it_writes_and_administers_where_it_is_granted(lab, grant, commit, settings):
    repo = Repo(client_with(lab, grant), "ann/own")
    assert repo.commit(repo.file("b.txt", b"b")).status_code == commit
    assert repo.client.post(f"{repo.api}/branch/x", json={}).status_code in (commit, 200)
    preupload = {"files": [{"path": "b", "size": 1, "sample": ""}]}
    assert repo.client.post(f"{repo.api}/preupload/main", json=preupload).status_code == commit
    batch = repo.batch({"oid": hashlib.sha256(b"x").hexdigest(), "size": 1})
    assert batch.status_code == commit
    token = repo.client.get(f"{repo.api}/xet-write-token/main")
    assert token.status_code == commit
    assert repo.client.get(f"{repo.api}/auth-check/write").status_code == commit
    change = repo.client.put(f"{repo.api}/settings", json={"gated": "manual"})
    assert change.status_code == settings
    gone = repo.client.request("DELETE", "/api/repos/delete", json={"name": "own"})
    assert gone.status_code == settings
    if (commit, settings) == (200, 403):
        assert "admin:ann/own" in gone.headers["x-error-message"]


def test_only_a_grant_for_a_namespace_makes_repos(lab):
    for grants, name, status in (
        (("admin:ann/own", "write:ann/new"), "ann/new", 403),
        (("read:ann",), "ann/new", 403),
        (("write:lab",), "ann/new", 403),
        (("write:ann",), "ann/new", 200),
        (("write:lab",), "lab/new", 200),
    ):
        answer = client_with(lab, *grants).post("/api/repos/create", json={"name": name})
        assert answer.status_code == status, (grants, answer.text)


def test_it_gives_nobody_rights_that_its_owner_lacks(lab):
    lab.house.catalog.accounts.set_member("lab", "bob", OrgRole.READ)
    client = client_with(lab, "admin:lab", "admin:ann", "admin:eve", user="bob")
    assert seen(client) == {"lab/kept", "lab/more", "eve/open"}
    repo = Repo(client, "lab/kept")
    assert repo.commit(repo.file("b", b"b")).status_code == 403
    assert client.get("/api/models/ann/own").status_code == 404
    lab.house.catalog.accounts.remove_member("lab", "bob")
    assert seen(client) == {"eve/open"}


def test_an_administrators_sees_and_rules_no_more_than_it_lists(lab):
    lab.house.catalog.accounts.create_user("root", is_admin=True)
    client = client_with(lab, "read:ann/own", user="root")
    assert seen(client) == {"ann/own", "eve/open"}
    assert client.get("/api/models/lab/kept").status_code == 404
    assert client.put("/api/cairn/store/pause").status_code == 403
    assert client.get("/api/cairn/store").json()["damaged_blobs"] is None


def test_gated_files_of_others_need_the_grant_too(lab, ann):
    ann.put("/api/models/ann/own/settings", json={"private": False, "gated": "manual"})
    for grant, status in (("read:ann/own", 200), ("read:lab", 403)):
        client = client_with(lab, grant)
        assert client.get("/ann/own/resolve/main/a.txt").status_code == status


def test_it_is_for_repos_and_not_for_the_account(lab):
    client = client_with(lab, "admin:ann", "admin:lab")
    for path in ("/settings/account", "/settings/tokens", "/notifications"):
        assert client.get(path).status_code == 403, path
    assert client.get("/api/cairn/notifications").status_code == 403
    assert client.post("/api/cairn/notifications/read", json={"up_to": 1}).status_code == 403
    for path in ("/settings/tokens", "/settings/tokens/revoke", "/settings/account/password"):
        assert client.post(path, data={"name": "all", "scope": "write"}).status_code == 403, path


def test_a_browser_that_signs_in_with_it_sees_no_more(lab):
    catalog = lab.house.catalog
    catalog.tokens.create("ann", "one", Scope.FINE_GRAINED, grants=[Grant.parse("read:ann/own")])
    cookie = catalog.sessions.start("ann", "token", token_name="one")
    headers = {"cookie": f"cairn_session={cookie}", "accept": "text/html"}
    client = lab.client()
    assert client.get("/ann/own", headers=headers).status_code == 200
    assert client.get("/ann/other", headers=headers).status_code == 404
    assert client.get("/settings/account", headers=headers).status_code == 403


def test_through_xet_it_builds_on_nothing_else_that_is_private(lab):
    from cairn.hub.signing import Signer
    from cairn.hub.xet.tokens import Access, check
    from cairn.workflows.access import named_reader
    from tests.hub.conftest import SECRET

    client = client_with(lab, "write:ann/own", "write:lab")
    told = client.get("/api/models/ann/own/xet-write-token/main").json()
    grant = check(Signer(SECRET.encode()), f"Bearer {told['accessToken']}", Access.WRITE)
    assert grant.is_narrow
    reader = named_reader(lab.house, grant.actor, grant.repo_id)
    assert reader.may_read_private(grant.repo_id)
    assert not reader.may_read_private(RepoId.parse(RepoType.MODEL, "lab/kept"))
    whole = lab.client("ann").get("/api/models/ann/own/xet-write-token/main").json()
    assert not check(
        Signer(SECRET.encode()), f"Bearer {whole['accessToken']}", Access.WRITE
    ).is_narrow


def test_clients_are_told_what_it_may_do(lab):
    shape = client_with(lab, "write:ann/own", "admin:lab", "read:ann").get("/api/whoami-v2").json()
    token = shape["auth"]["accessToken"]
    assert token["role"] == "fineGrained"
    scoped = {
        (e["entity"]["type"], e["entity"]["name"]): e["permissions"]
        for e in token["fineGrained"]["scoped"]
    }
    assert scoped == {
        ("model", "ann/own"): ["repo.content.read", "repo.write"],
        ("org", "lab"): ["repo.content.read", "repo.write", "repo.admin"],
        ("user", "ann"): ["repo.content.read"],
    }


def test_the_stock_client_reads_what_it_may_do(live):
    secret = live.hub.house.catalog.tokens.create(
        "ann", "fine", Scope.FINE_GRAINED, grants=[Grant.parse("write:ann")]
    )
    script = (
        "from huggingface_hub import HfApi; import json; api = HfApi();"
        "api.create_repo('ann/by-grant', private=True);"
        "api.upload_file(path_or_fileobj=b'x', path_in_repo='a', repo_id='ann/by-grant');"
        "print(json.dumps([api.whoami()['auth']['accessToken']['role'],"
        " api.list_repo_files('ann/by-grant')]))"
    )
    role, files = json.loads(live.run(script, HF_TOKEN=secret).splitlines()[-1])
    assert role == "fineGrained" and "a" in files


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lab",
        "own:lab",
        "write:",
        "write:a/b/c",
        "write:datasets/lab",
        ":x",
        "read: lab",
        "read:la b",
        "write:models/a/b/c",
        "admin:../x",
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(text):
    with pytest.raises(NamingError):
        Grant.parse(text)


@pytest.mark.parametrize(
    "text", ["read:lab", "write:ann/m", "admin:datasets/ann/m", "read:spaces/a/b"]
)
def test_a_grant_is_written_as_it_is_read(text):
    assert str(Grant.parse(text)) == text
    assert Grant.parse(text).permission is Permission(text.partition(":")[0])


def test_grants_belong_to_fine_grained_tokens(hub):
    tokens, grant = hub.house.catalog.tokens, Grant.parse("read:ann")
    for scope, grants in (
        (Scope.FINE_GRAINED, []),
        (Scope.READ, [grant]),
        (Scope.WRITE, [grant]),
        (Scope.FINE_GRAINED, [grant] * 51),
    ):
        with pytest.raises(RequestError):
            tokens.create("ann", "odd", scope, grants=grants)
    tokens.create("ann", "fine", Scope.FINE_GRAINED, grants=[grant] * 50)
    (record,) = [t for t in tokens.list("ann") if t.name == "fine"]
    assert record.grants[0] == grant
