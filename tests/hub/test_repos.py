"""Repos over the wire: made, listed, described, planned for, branched, deleted."""

import base64

import pytest


def sample(data: bytes) -> str:
    return base64.b64encode(data[:512]).decode()


def test_creating_twice_is_409_with_the_url(ann):
    first = ann.post("/api/repos/create", json={"name": "m", "organization": "lab"})
    assert first.json()["url"] == "http://localhost/lab/m"
    again = ann.post("/api/repos/create", json={"name": "M", "organization": "LAB"})
    assert again.status_code == 409 and again.json()["url"].lower() == "http://localhost/lab/m"


@pytest.mark.parametrize(
    ("fields", "private"),
    [({}, False), ({"private": True}, True), ({"private": False}, False),
     ({"visibility": "private"}, True), ({"visibility": "public", "private": True}, False)],
)  # fmt: skip
def test_old_and_new_clients_say_visibility_in_their_ways(ann, fields, private):
    ann.post("/api/repos/create", json={"name": "m", "type": "dataset", **fields})
    assert ann.get("/api/datasets/ann/m").json()["private"] is private


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"name": ""}, 400), ({"name": 7}, 400), ({"name": "a/b/c"}, 400),
     ({"name": "x--y"}, 400), ({"name": ".."}, 400), ({"name": "m.git"}, 400),
     ({"name": "x" * 97}, 400), ({"name": "m", "type": "kernel"}, 400),
     ({"name": "m", "type": "space"}, 400), ({"name": "m", "type": "space", "sdk": "cobol"}, 400),
     ({"name": "m", "visibility": "protected"}, 400), ({"name": "m", "private": "yes"}, 400),
     ({"name": "m", "organization": "bob"}, 403), ({"name": "bob/m"}, 403),
     ({"name": "m", "organization": "nobody"}, 403)],
)  # fmt: skip
def test_a_repo_that_cannot_be_is_refused(ann, body, status):
    answer = ann.post("/api/repos/create", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"a":' + b"[" * 5000, b"x" * (5 << 20)])
def test_a_body_that_is_no_json_object_is_told_so(ann, body):
    assert ann.post("/api/repos/create", content=body).status_code in (400, 413)


def test_a_new_repo_has_an_initial_commit_with_gitattributes(repo):
    commits = repo.client.get(f"{repo.api}/commits/main").json()
    assert [c["title"] for c in commits] == ["initial commit"]
    text = repo.client.get("/ann/m/resolve/main/.gitattributes").text
    assert "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" in text


def test_a_repo_without_any_commit_is_described_as_empty(hub, ann):
    from cairn.domain import RepoId, RepoType

    hub.house.catalog.repos.create(RepoId(RepoType.MODEL, "ann", "bare"), private=False)
    shape = ann.get("/api/models/ann/bare").json()
    assert shape["siblings"] == [] and shape["sha"] is None
    assert ann.get("/api/models/ann/bare/tree/main").status_code == 404
    assert ann.get("/api/models/ann/bare/refs").json()["branches"] == []


def test_info_shows_only_what_expand_asks_for(repo):
    shape = repo.client.get(f"{repo.api}?expand=sha&expand[]=downloads&expand=nope").json()
    assert set(shape) == {"_id", "id", "sha", "downloads"}
    plain = repo.client.get(repo.api).json()
    assert "size" not in plain["siblings"][0]
    blobs = repo.client.get(f"{repo.api}?blobs=true&securityStatus=true").json()
    assert blobs["siblings"][0]["size"] > 0 and blobs["securityRepoStatus"]["scansDone"] is False


def test_a_strange_config_json_does_not_break_the_description(repo):
    for content in (b"{", b"[1]", b'{"model_type": NaN}', b"[" * 100_000, b"\xff", b"{}"):
        repo.put("config.json", content)
        shape = repo.client.get(repo.api)
        assert shape.status_code == 200, content
        assert shape.json()["config"] in ({}, {"model_type": None})


def test_the_tree_comes_in_pages_with_absolute_links(repo):
    lines = [repo.file(f"d{n % 3}/f{n:02}", b"x") for n in range(20)]
    repo.commit(*lines)
    want = [r["path"] for r in repo.client.get(f"{repo.api}/tree/main?recursive=True").json()]
    assert len(want) == 24
    got, url = [], f"{repo.api}/tree/main?recursive=true&limit=5"
    while url:
        answer = repo.client.get(url)
        got += [row["path"] for row in answer.json()]
        link = answer.links.get("next")
        url = link["url"] if link else None
        assert url is None or url.startswith("http://localhost/api/models/ann/m/tree/main?")
    assert got == want
    inside = repo.client.get(f"{repo.api}/tree/main/d1").json()
    assert [r["path"] for r in inside] == [f"d1/f{n:02}" for n in range(1, 20, 3)]


@pytest.mark.parametrize("cursor", ["!!", "YQ", "Li4vLi4=", "////", "IA=="])
def test_a_made_up_cursor_is_400_or_a_page(repo, cursor):
    answer = repo.client.get(f"{repo.api}/tree/main?cursor={cursor}")
    assert answer.status_code in (200, 400)
    assert repo.client.get(f"/api/models?cursor={cursor}").status_code in (200, 400)


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=1e3", "p=-1", "limit=" + "9" * 30])
def test_a_count_that_is_none_is_400(repo, query):
    answer = repo.client.get(f"{repo.api}/commits/main?{query}")
    assert answer.status_code == 400


def test_paths_info_takes_forms_and_json_and_drops_the_unknown(repo):
    repo.put("a/b.txt", b"x")
    url = f"{repo.api}/paths-info/main"
    form = repo.client.post(url, data={"paths": ["a/b.txt", "nope", "a", "../x"], "expand": "True"})
    assert [row["path"] for row in form.json()] == ["a/b.txt", "a"]
    assert form.json()[0]["lastCommit"]["title"] == "s"
    as_json = repo.client.post(url, json={"paths": ["a/b.txt"], "expand": False})
    assert [row["path"] for row in as_json.json()] == ["a/b.txt"]
    assert "lastCommit" not in as_json.json()[0]
    many = {"paths": [f"p{n}" for n in range(3000)] + ["a/b.txt"]}
    assert len(repo.client.post(url, data=many).json()) == 1
    assert repo.client.post(url, data={"paths": ["x"] * 10_001}).status_code == 413
    assert repo.client.post(url, json={"paths": {"a": 1}}).status_code == 400
    assert repo.client.post(url, json={"paths": [None]}).status_code == 400


def plan(repo, *files: dict, **extra) -> dict[str, dict]:
    answer = repo.client.post(f"{repo.api}/preupload/main", json={"files": list(files), **extra})
    assert answer.status_code == 200, answer.text
    return {row["path"]: row for row in answer.json()["files"]}


def test_preupload_decides_by_name_size_and_content(hub, repo):
    files = {
        "m.safetensors": (b"text", 10),
        "a/b/tf.h5": (b"text", 10),
        "saved_model/v1/x": (b"text", 10),
        "plain.txt": (b"text", 10),
        "grüße.txt": ("ü".encode() * 256, 512),
        "cut.txt": (("x" + "ü" * 256).encode()[:512], 513),
        "nul.dat": (b"a\0b", 3),
        "latin.txt": (b"caf\xe9 x", 6),
        "empty.bin": (b"", 0),
        "big.txt": (b"text", hub.settings.max_regular_file_bytes),
    }
    rows = [{"path": p, "sample": sample(s), "size": n} for p, (s, n) in files.items()]
    modes = {path: row["uploadMode"] for path, row in plan(repo, *rows).items()}
    assert {p for p, mode in modes.items() if mode == "lfs"} == {
        "m.safetensors", "a/b/tf.h5", "saved_model/v1/x", "nul.dat", "latin.txt", "big.txt",
    }  # fmt: skip


def test_preupload_names_what_is_there_and_what_is_ignored(repo):
    repo.put(".gitignore", b"*.log\n")
    oid = repo.put_large(b"w" * 50)
    repo.commit(repo.large("m.bin", oid))
    repo.put("a.txt", b"hello\n")
    rows = [{"path": p, "size": 5, "sample": ""} for p in ("m.bin", "a.txt", "new", "x.log")]
    found = plan(repo, *rows)
    assert found["m.bin"]["oid"] == oid
    assert found["a.txt"]["oid"] == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert "oid" not in found["new"] and found["x.log"]["shouldIgnore"]
    assert not plan(repo, *rows, gitIgnore="a.*")["x.log"]["shouldIgnore"]
    assert plan(repo, *rows, gitIgnore="a.*")["a.txt"]["shouldIgnore"]


def test_preupload_follows_the_repos_own_gitattributes(repo):
    repo.put(".gitattributes", b"*.dat filter=lfs\nkeep/*.dat -filter\n")
    rows = [{"path": p, "size": 5, "sample": ""} for p in ("a.dat", "keep/a.dat", "m.safetensors")]
    modes = {p: r["uploadMode"] for p, r in plan(repo, *rows).items()}
    assert modes == {"a.dat": "lfs", "keep/a.dat": "regular", "m.safetensors": "regular"}


@pytest.mark.parametrize(
    "body",
    [{}, {"files": []}, {"files": [{}]}, {"files": [7]}, {"files": [{"path": "a"}]},
     {"files": [{"path": "a", "size": -1}]}, {"files": [{"path": "a", "size": 1.5}]},
     {"files": [{"path": "a", "size": 1, "sample": "%%%"}]},
     {"files": [{"path": "a", "size": 1, "sample": 7}]},
     {"files": [{"path": "a", "size": 1}] * 257},
     {"files": [{"path": "a", "size": 1}], "gitIgnore": 7}],
)  # fmt: skip
def test_a_bad_preupload_is_400(repo, body):
    answer = repo.client.post(f"{repo.api}/preupload/main", json=body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_hostile_ignore_rules_run_into_a_limit_not_into_time(repo):
    rules = "\n".join(["a/**/" * 100 + f"b{n}" for n in range(3000)])
    files = [{"path": "a/" * 500 + str(n), "size": 1} for n in range(200)]
    answer = repo.client.post(
        f"{repo.api}/preupload/main", json={"files": files, "gitIgnore": rules}
    )
    assert answer.status_code == 413


def test_branches_and_tags(repo):
    first = repo.head()
    second = repo.put("a", b"1")
    post, delete = repo.client.post, repo.client.delete
    assert post(f"{repo.api}/branch/dev%2Fx", json={"startingPoint": first[:10]}).status_code == 200
    assert post(f"{repo.api}/branch/dev%2Fx", json={}).status_code == 409
    assert post(f"{repo.api}/branch/dev", json={}).status_code == 409  # dev/x is below it
    assert post(f"{repo.api}/branch/y", json={"startingPoint": "nope"}).status_code == 404
    for bad in ("a..b", "a%20b", "-x", "x.lock", "0" * 40, "%00"):
        assert post(f"{repo.api}/branch/{bad}", json={}).status_code == 400, bad
    assert post(f"{repo.api}/tag/main", json={"tag": "v1"}).status_code == 200
    assert post(f"{repo.api}/tag/main", json={"tag": "v1"}).status_code == 409
    assert post(f"{repo.api}/tag/nope", json={"tag": "bad tag"}).status_code == 404
    assert post(f"{repo.api}/tag/main", json={"tag": "bad tag"}).status_code == 400
    refs = repo.client.get(f"{repo.api}/refs").json()
    assert {r["name"]: r["targetCommit"] for r in refs["branches"]} == {
        "dev/x": first, "main": second,
    }  # fmt: skip
    assert refs["tags"] == [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": second}]
    assert "pullRequests" not in refs and refs["converts"] == []
    assert delete(f"{repo.api}/branch/main").status_code == 403
    assert delete(f"{repo.api}/branch/dev%2Fx").status_code == 200
    assert delete(f"{repo.api}/branch/dev%2Fx").status_code == 404
    assert delete(f"{repo.api}/tag/v1").status_code == 200
    assert delete(f"{repo.api}/tag/v1").status_code == 404


def test_commits_come_in_pages(repo):
    for n in range(5):
        repo.put("a", str(n).encode())
    answer = repo.client.get(f"{repo.api}/commits/main?limit=4&expand[]=formatted")
    assert len(answer.json()) == 4 and answer.headers["x-total-count"] == "6"
    assert answer.json()[0]["formatted"]["title"] == "s"
    rest = repo.client.get(answer.links["next"]["url"])
    assert len(rest.json()) == 2 and "next" not in rest.links


def test_settings_change_visibility_and_reject_nonsense(repo):
    put = repo.client.put
    assert put(f"{repo.api}/settings", json={"visibility": "private"}).json()["private"] is True
    assert put(f"{repo.api}/settings", json={"private": False}).json()["private"] is False
    for body in ({"gated": "maybe"}, {"gated": True}, {"visibility": 3}, {"private": 1}):
        assert put(f"{repo.api}/settings", json=body).status_code == 400, body


def test_a_duplicate_has_the_files_the_card_and_the_privacy_of_its_source(hub, repo):
    repo.put("README.md", b"---\ntags: [x]\n---\n")
    oid = repo.put_large(b"w" * 5000)
    repo.commit(repo.large("m.bin", oid))
    repo.client.put(f"{repo.api}/settings", json={"private": True})
    url, eve = f"{repo.api}/duplicate", hub.client("eve")
    assert (
        repo.client.post(url, json={"repository": "lab/copy"}).json()["url"].endswith("/lab/copy")
    )
    shape = repo.client.get("/api/models/lab/copy").json()
    assert shape["private"] is True and shape["tags"] == ["x"]
    assert repo.client.get("/lab/copy/resolve/main/m.bin").content == b"w" * 5000
    again = repo.client.post(url, json={"repository": "lab/copy"})
    assert again.status_code == 409 and again.json()["url"].endswith("/lab/copy")
    assert eve.post(url, json={"repository": "eve/copy"}).status_code == 404
    assert repo.client.post(url, json={"repository": "bob/copy"}).status_code == 403
    for bad in ({}, {"repository": "x"}, {"repository": "a/b/c"}):
        assert repo.client.post(url, json=bad).status_code == 400


def test_the_duplicate_of_a_gated_repo_is_gated(repo):
    repo.put("a.txt", b"1")
    repo.client.put(f"{repo.api}/settings", json={"gated": "manual"})
    repo.client.post(f"{repo.api}/duplicate", json={"repository": "lab/copy"})
    assert repo.client.get("/api/models/lab/copy").json()["gated"] == "manual"


def test_a_deleted_repo_is_gone_and_its_name_free(repo):
    repo.put("a", b"1")
    delete = {"name": "m", "type": "model", "organization": None}
    assert repo.client.request("DELETE", "/api/repos/delete", json=delete).status_code == 200
    assert repo.client.get(repo.api).status_code == 404
    assert repo.client.request("DELETE", "/api/repos/delete", json=delete).status_code == 404
    repo.create()
    assert len(repo.client.get(f"{repo.api}/commits/main").json()) == 1


def test_lists_hide_what_one_may_not_see_and_page(hub, ann):
    for n in range(7):
        ann.post("/api/repos/create", json={"name": f"lab/m{n}", "private": n == 3})
    eve, bob = hub.client("eve"), hub.client("bob")
    assert len(eve.get("/api/models?author=lab").json()) == 6
    assert len(bob.get("/api/models?author=lab").json()) == 7
    got, url = [], "/api/models?author=lab&sort=createdAt&direction=-1&limit=3"
    while url:
        answer = bob.get(url)
        got += [row["id"] for row in answer.json()]
        url = answer.links.get("next", {}).get("url")
    assert got == [f"lab/m{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert eve.get("/api/models?sort=size").status_code == 400
    row = eve.get("/api/models?limit=1").json()[0]
    assert "siblings" not in row and "cardData" not in row
    row = eve.get("/api/models?limit=1&full=true&cardData=true&config=true").json()[0]
    assert row["siblings"] == [{"rfilename": ".gitattributes"}] and row["config"] == {}
    own = ann.get("/api/settings/repositories").json()
    assert own == []
    labs = ann.get("/api/organizations/lab/settings/repositories").json()
    assert len(labs) == 7 and sum(r["visibility"] == "private" for r in labs) == 1


def test_people_and_organisations_can_be_looked_up(hub):
    client = hub.client()
    assert client.get("/api/users/ann/overview").json()["user"] == "ann"
    assert client.get("/api/organizations/lab/overview").json()["numUsers"] == 2
    members = client.get("/api/organizations/lab/members").json()
    assert {m["user"] for m in members} == {"ann", "bob"}
    assert client.get("/api/users/lab/overview").status_code == 404
    assert client.get("/api/users/nobody/overview").status_code == 404


def test_tags_by_type_are_those_in_use(repo):
    repo.put("README.md", b"---\nlicense: mit\npipeline_tag: fill-mask\n---\n")
    shape = repo.client.get("/api/models-tags-by-type").json()
    assert shape["license"] == [{"id": "license:mit", "label": "mit", "type": "license"}]
    assert [row["id"] for row in shape["pipeline_tag"]] == ["fill-mask"]


def test_an_endpoint_nobody_knows_is_404_in_json(ann):
    answer = ann.get("/api/agent-harnesses")
    assert answer.status_code == 404 and answer.json()["error"]
    assert ann.head("/api/telemetry/x").status_code == 404
