"""Who may do what, told by header, cookie and scope."""

import base64

import pytest

BAD = "Invalid credentials in Authorization header"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_whoami_names_the_account_its_organisations_and_the_tokens_scope(hub):
    shape = hub.client("bob").get("/api/whoami-v2").json()
    assert (shape["name"], shape["type"]) == ("bob", "user")
    assert [(o["name"], o["roleInOrg"]) for o in shape["orgs"]] == [("lab", "read")]
    assert shape["auth"]["accessToken"] == {"displayName": "all", "role": "write"}


@pytest.mark.parametrize(
    "header",
    ["Bearer cairn_wrong", "Bearer ", "Bearer", "Basic !!!", "Basic ////", "Digest x", "x", ""],
)
def test_bad_credentials_are_401_with_the_words_clients_know(hub, header):
    answer = hub.client().get("/api/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["x-error-message"] == BAD
    assert "Basic" in answer.headers["www-authenticate"]


def test_git_lfs_sends_the_token_as_basic_password(hub):
    token = hub.tokens["ann"]
    for headers in (basic("ann", token), basic("anything", token), basic(token, "")):
        answer = hub.client().get("/api/whoami-v2", headers=headers)
        assert answer.json()["name"] == "ann"
    assert hub.client().get("/api/whoami-v2", headers=basic("ann", "x")).status_code == 401


def test_nobody_is_401_on_whoami(hub):
    assert hub.client().get("/api/whoami-v2").status_code == 401


def test_a_private_repo_looks_exactly_like_a_missing_one(hub, repo):
    repo.client.put(f"{repo.api}/settings", json={"visibility": "private"})
    for who, status in ((None, 401), ("eve", 404)):
        client = hub.client(who)
        for path in ("", "/tree/main", "/refs", "/commits/main", "/revision/main", "/auth-check"):
            private = client.get(f"/api/models/ann/m{path}")
            missing = client.get(f"/api/models/ann/zz{path}")
            assert private.status_code == missing.status_code == status, (who, path)
            assert private.headers["x-error-code"] == "RepoNotFound"
            assert private.text.replace("ann/m", "ann/zz") == missing.text
        answer = client.get("/ann/m/resolve/main/.gitattributes")
        assert (answer.status_code, answer.headers["x-error-code"]) == (status, "RepoNotFound")
        assert client.get("/api/models").json() == []


def test_a_read_token_changes_nothing(hub, repo):
    reader = repo.through(hub.client("ann-reader"))
    assert reader.commit(reader.file("a", b"1")).status_code == 403
    assert reader.client.put(f"{repo.api}/settings", json={"private": True}).status_code == 403
    assert reader.client.post(f"{repo.api}/branch/x", json={}).status_code == 403
    assert reader.batch({"oid": "0" * 64, "size": 1}).status_code == 403
    preupload = reader.client.post(f"{repo.api}/preupload/main", json={"files": [{}]})
    assert preupload.status_code in (400, 403)
    delete = reader.client.request("DELETE", "/api/repos/delete", json={"name": "m"})
    assert delete.status_code == 403 and "read" in delete.headers["x-error-message"]
    assert repo.head()


def test_nobody_is_asked_to_log_in_before_writing(hub, repo):
    stranger = repo.through(hub.client())
    assert stranger.commit(stranger.file("a", b"1")).status_code == 401
    assert stranger.client.post("/api/repos/create", json={"name": "ann/x"}).status_code == 401


def test_a_gated_repo_shows_its_description_and_keeps_its_files(hub, repo):
    repo.put("a.txt", b"secret")
    answer = repo.client.put(f"{repo.api}/settings", json={"gated": "manual"})
    assert answer.json()["gated"] == "manual"
    for who, status in ((None, 401), ("eve", 403)):
        client = hub.client(who)
        assert client.get(repo.api).json()["gated"] == "manual"
        for method in ("GET", "HEAD"):
            answer = client.request(method, "/ann/m/resolve/main/a.txt")
            assert answer.status_code == status
            assert answer.headers["x-error-code"] == "GatedRepo"
        assert client.get("/ann/m/raw/main/a.txt").status_code == status
        oid = {"oid": "0" * 64, "size": 1}
        assert repo.through(client).batch(oid, operation="download").status_code == status
    assert repo.client.get("/ann/m/resolve/main/a.txt").content == b"secret"
    assert repo.client.put(f"{repo.api}/settings", json={"gated": False}).json()["gated"] is False


def test_a_session_cookie_opens_pages_and_not_the_api(hub, repo):
    repo.client.put(f"{repo.api}/settings", json={"private": True})
    session = hub.house.catalog.sessions.start("ann", "password")
    cookie = {"Cookie": f"cairn_session={session}"}
    client = hub.client()
    assert client.get("/ann/m/resolve/main/.gitattributes", headers=cookie).status_code == 200
    assert client.get("/api/models/ann/m", headers=cookie).status_code == 401
    line = repo.through(client)
    assert (
        line.client.post("/api/repos/create", json={"name": "x"}, headers=cookie).status_code == 401
    )
    stale = {"Cookie": "cairn_session=nonsense"}
    assert client.get("/ann/m/resolve/main/.gitattributes", headers=stale).status_code == 401
