"""What is hidden at its own address is told nowhere else: lists, counts, other routes."""

import hashlib
import json

import pytest

from cairn.domain import RepoId, RepoType
from tests.hub.authorisation.world import World, fill, make_repo, repo_named

OUTSIDERS = ("anonymous", "stranger")
MEMBERS = ("reader", "owner", "owner-read", "admin")
LISTS = (
    "/api/models",
    "/api/models?search=private",
    "/api/models?author=lab&full=true&cardData=true",
    "/api/models?filter=license:mit",
    "/api/datasets?sort=downloads",
    "/api/organizations/lab/settings/repositories",
    "/?q=repo",  # the newest are those that other tests made
    "/models?q=private",
    "/lab",
)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("role", (*OUTSIDERS, "granted", *MEMBERS))
def test_lists_name_private_repos_to_members_only(world: World, path: str, role: str) -> None:
    answer = world.send(role, "GET", path)
    if answer.status_code == 401:
        assert role == "anonymous"
    else:
        assert answer.status_code == 200
        assert ("private-repo" in answer.text) is (role in MEMBERS)


@pytest.mark.parametrize("role", OUTSIDERS)
def test_counts_of_values_to_filter_by_leave_private_repos_out(world: World, role: str) -> None:
    hidden = RepoId(RepoType.MODEL, "lab", world.fresh("rare"))
    make_repo(world.house, world.own, hidden, "private")
    card = b"---\nlicense: cc-by-nc-nd-4.0\nlibrary_name: rarelib\n---\n"
    fill(world.house, world.own, hidden, card)
    for path in ("/api/models-tags-by-type", "/models"):
        assert "rarelib" in world.send("owner", "GET", path).text
        assert "rarelib" not in world.send(role, "GET", path).text


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize(
    "path",
    [
        "/api/cairn/models/lab/public-repo/compare/main...main?before_repo=lab/{}",
        "/lab/public-repo/compare/main...main?before_repo=lab/{}",
        "/lab/public-repo/compare?before_repo=lab/{}",
        "/api/cairn/models/lab/public-repo/weights/main?base=lab/{}",
        "/lab/public-repo/weights/main?base=lab/{}",
    ],
)
def test_no_comparison_reaches_into_a_private_repo(world: World, role: str, path: str) -> None:
    there, missing = (
        world.send(role, "GET", path.format(name)) for name in ("private-repo", "missing-repo")
    )
    assert there.status_code == missing.status_code >= 400
    assert there.text.replace("private-repo", "missing-repo") == missing.text
    assert world.send(role, "GET", path.format("gated-repo")).status_code in (401, 403)


def test_a_commit_cannot_claim_bytes_that_only_a_private_repo_has(world: World) -> None:
    content = b"weights that lab keeps to itself"
    kept = world.house.store.put_bytes(content)
    world.house.catalog.uploads.record(world.uid(repo_named("private")), kept)
    made = world.send("stranger", "POST", "/api/repos/create", json={"name": world.fresh("own")})
    api = f"/api/models/{made.json()['name']}"
    oid = hashlib.sha256(content).hexdigest()
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": oid}},
    ]
    body = "\n".join(map(json.dumps, lines))
    answer = world.send("stranger", "POST", f"{api}/commit/main", content=body)
    never = body.replace(oid, hashlib.sha256(b"nobody has these").hexdigest())
    unknown = world.send("stranger", "POST", f"{api}/commit/main", content=never)
    assert answer.status_code == unknown.status_code == 400
    name = made.json()["name"]
    batch = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    told = world.send("stranger", "POST", f"/{name}.git/info/lfs/objects/batch", json=batch)
    assert "upload" in told.json()["objects"][0]["actions"], "they are asked for the bytes"


def test_a_signed_url_is_good_for_its_own_repo_only(world: World) -> None:
    kept = world.house.store.put_bytes(b"some more weights")
    uid = world.uid(repo_named("public"))
    world.house.catalog.uploads.record(uid, kept)
    batch = {
        "operation": "upload",
        "objects": [{"oid": hashlib.sha256(b"new").hexdigest(), "size": 3}],
    }
    path = "/lab/public-repo.git/info/lfs/objects/batch"
    told = world.send("owner", "POST", path, json=batch).json()
    url = told["objects"][0]["actions"]["upload"]["href"]
    elsewhere = url.replace("public-repo", "private-repo")
    assert world.send("anonymous", "PUT", elsewhere, content=b"new").status_code == 403
    assert world.send("anonymous", "GET", url).status_code == 403
    assert world.send("anonymous", "PUT", url, content=b"new").status_code == 200


@pytest.mark.parametrize("access", ("read", "write"))
def test_a_xet_token_is_good_for_its_own_repo_and_access_only(world: World, access: str) -> None:
    def granted(name: str, access: str) -> dict:
        path = f"/api/models/lab/{name}/xet-{access}-token/main"
        return world.send("owner", "GET", path).json()

    mine, theirs = granted("public-repo", access), granted("private-repo", "read")
    token = {"Authorization": f"Bearer {mine['accessToken']}"}
    path = theirs["casUrl"].removeprefix("http://localhost")
    reads = f"/v1/reconstructions/{'0' * 64}"
    assert world.send("anonymous", "GET", path + reads, headers=token).status_code == 403
    own = mine["casUrl"].removeprefix("http://localhost")
    writes = world.send("anonymous", "POST", f"{own}/v1/shards", headers=token, content=b"")
    assert writes.status_code == (403 if access == "read" else 400)
    user = world.send("anonymous", "GET", "/api/whoami-v2", headers=token)
    assert user.status_code == 401, "it is no token of the API's"


@pytest.mark.parametrize("role", (*OUTSIDERS, "owner"))
def test_the_log_and_the_totals_name_no_private_repo(world: World, role: str) -> None:
    head = world.client.get("/api/cairn/log/checkpoint").text.splitlines()
    size = int(head[1])
    told = b""
    for at in range(0, size, 256):
        partial = f".p/{size - at}" if size - at < 256 else ""
        answer = world.send(role, "GET", f"/api/cairn/log/tile/entries/{at // 256:03}{partial}")
        assert answer.status_code == 200
        told += answer.content
    assert b"public-repo" in told
    assert b"private-repo" not in told
    assert "private-repo" not in world.send(role, "GET", "/api/cairn/store").text
