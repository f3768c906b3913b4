"""Commits over the wire: what a good one does, and what each kind of bad one is told."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEADER = b'{"key":"header","value":{"summary":"s"}}'
FILE = b'{"key":"file","value":{"path":"a","content":"eA==","encoding":"base64"}}'


def names(repo) -> list[str]:
    rows = repo.client.get(f"{repo.api}/tree/main?recursive=true").json()
    return [row["path"] for row in rows if row["type"] == "file"]


def test_a_commit_adds_changes_and_deletes(repo):
    repo.put("a/one.txt", b"1")
    repo.put("b/two.txt", b"2")
    delete = {"key": "deletedFile", "value": {"path": "a/one.txt"}}
    folder = {"key": "deletedFolder", "value": {"path": "b/"}}
    answer = repo.commit(delete, folder, repo.file("c.txt", b"3"), description="why")
    shape = answer.json()
    assert answer.status_code == 200 and shape["pullRequestUrl"] is None
    assert shape["commitUrl"] == f"http://localhost/ann/m/commit/{shape['commitOid']}"
    assert names(repo) == [".gitattributes", "c.txt"]
    newest = repo.client.get(f"{repo.api}/commits/main").json()[0]
    assert (newest["title"], newest["message"], newest["authors"]) == (
        "s",
        "why",
        [{"user": "ann"}],
    )


def test_deleting_a_folder_by_a_file_line_works_as_on_the_hf_hub(repo):
    repo.put("d/x", b"1")
    assert repo.commit({"key": "deletedFile", "value": {"path": "d"}}).status_code == 200
    assert names(repo) == [".gitattributes"]


def test_the_same_content_again_is_no_new_commit(repo):
    first = repo.put("a", b"1")
    assert repo.put("a", b"1") == first


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\n\n", 400),
        (b"not json", 400),
        (b"[1]", 400),
        (b'{"key":"header"}', 400),
        (b'{"key":1,"value":{}}', 400),
        (b'{"key":"header","value":{"summary":""}}', 400),
        (b'{"key":"header","value":{"summary":1}}', 400),
        (b'{"key":"header","value":{"summary":"s","parentCommit":"XYZ"}}', 400),
        (b'{"key":"header","value":{"summary":"s","parentCommit":"ab"}}', 400),
        (b'{"key":"header","value":{"summary":"s","description":[]}}', 400),
        (FILE, 400),
        (HEADER + b"\n" + HEADER, 400),
        (HEADER + b"\n" + FILE + b"\n" + HEADER, 400),
        (HEADER + b'\n{"key":"nope","value":{"path":"a"}}', 400),
        (HEADER + b'\n{"key":"file","value":{"content":"eA=="}}', 400),
        (HEADER + b'\n{"key":"file","value":{"path":"a"}}', 400),
        (HEADER + b'\n{"key":"file","value":{"path":"a","content":"%","encoding":"base64"}}', 400),
        (HEADER + b'\n{"key":"file","value":{"path":"a","content":"e","encoding":"rot13"}}', 400),
        (HEADER + b'\n{"key":"file","value":{"path":"a","content":"\\ud800"}}', 400),
        (HEADER + b'\n{"key":"file","value":{"path":7,"content":"eA=="}}', 400),
        (HEADER + b'\n{"key":"lfsFile","value":{"path":"a","oid":"zz"}}', 400),
        (HEADER + b'\n{"key":"lfsFile","value":{"path":"a","algo":"md5","oid":"zz"}}', 400),
        (HEADER + b'\n{"key":"lfsFile","value":{"path":"a","oid":"' + b"0" * 64 + b'"}}', 400),
        (HEADER + b'\n{"key":"deletedFile","value":{"path":"nope"}}', 404),
        (HEADER + b'\n{"key":"deletedFolder","value":{"path":"nope/"}}', 404),
        (HEADER + b"\n" + b"[" * 100_000, 400),
        (HEADER + b"\n\xff\xfe", 400),
        (b'{"key":"header","value":{"summary":"' + b"x" * 1001 + b'"}}', 413),
        (b'{"key":"header","value":{"summary":"a\\u0000b"}}\n' + FILE, 400),
        (b'{"key":"header","value":{"summary":"\\ud800"}}\n' + FILE, 400),
    ],
)
def test_malformed_bodies_are_told_why_and_change_nothing(repo, body, status):
    before = repo.head()
    answer = repo.client.post(f"{repo.api}/commit/main", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] and answer.headers["x-error-code"]
    assert repo.head() == before


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../b",
        "/abs",
        "",
        "a//b",
        ".git/config",
        "a/.GIT/x",
        "a/./b",
        "a\nb",
        "a\0b",
        "\ud800",
        "x" * 5000,
        ".",
    ],
)
def test_path_tricks_are_422(repo, path):
    for key, extra in (("file", {"content": ""}), ("lfsFile", {"oid": "0" * 64}),
                       ("deletedFile", {}), ("deletedFolder", {})):  # fmt: skip
        answer = repo.commit({"key": key, "value": {"path": path, **extra}})
        assert answer.status_code == 422, (key, answer.text)
        assert repo.client.get("/api/models").status_code == 200


def test_a_backslash_is_an_ordinary_character(repo):
    repo.put("folder/..\\..\\file", b"1")
    assert "folder/..\\..\\file" in names(repo)


def test_a_file_cannot_be_where_a_folder_is(repo):
    repo.put("d/x", b"1")
    for path in ("d", "d/x/y"):
        answer = repo.commit(repo.file(path, b"2"))
        assert answer.status_code == 409, answer.text


def test_a_stale_parent_is_412_and_a_prefix_will_do(repo):
    old = repo.head()
    new = repo.put("a", b"1")
    stale = repo.commit(repo.file("b", b"2"), parentCommit=old)
    assert stale.status_code == 412 and stale.headers["x-error-code"] == "StaleParent"
    assert repo.commit(repo.file("b", b"2"), parentCommit=new[:7]).status_code == 200


@pytest.mark.parametrize("branch", ["nope", "refs%2Ftags%2Fv1", "refs%2Fpr%2F7", "%00", "0" * 40])
def test_only_branches_that_exist_take_commits(repo, branch):
    repo.client.post(f"{repo.api}/tag/main", json={"tag": "v1"})
    answer = repo.commit(repo.file("a", b"1"), branch=branch)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_oversize_lines_files_and_bodies_are_413(hub, repo):
    small = repo.through(
        hub.client("ann", max_regular_file_bytes=1000, max_commit_body_bytes=200_000)
    )
    assert small.commit(small.file("a", b"x" * 1001)).status_code == 413
    assert small.commit(small.file("a", b"x" * 100_000)).status_code == 413
    assert small.commit(*[small.file(f"a{n}", b"x" * 900) for n in range(300)]).status_code == 413
    assert small.commit(small.file("a", b"x" * 1000)).status_code == 200


def test_a_pull_request_is_a_branch_of_its_own(repo):
    main = repo.head()
    shape = repo.commit(repo.file("a", b"1"), query="?create_pr=1").json()
    assert shape["pullRequestUrl"] == "http://localhost/ann/m/discussions/1"
    assert repo.head() == main
    second = repo.commit(repo.file("a", b"2"), query="?create_pr=true").json()
    assert second["pullRequestUrl"].endswith("/discussions/2")
    more = repo.commit(repo.file("b", b"3"), branch="refs%2Fpr%2F1")
    assert more.status_code == 200
    refs = repo.client.get(f"{repo.api}/refs?include_prs=1").json()
    assert [r["ref"] for r in refs["pullRequests"]] == ["refs/pr/1", "refs/pr/2"]
    assert refs["pullRequests"][0]["targetCommit"] == more.json()["commitOid"]


def test_a_pull_request_that_fails_leaves_no_ref(repo):
    bad = {"key": "deletedFile", "value": {"path": "nope"}}
    assert repo.commit(bad, query="?create_pr=1").status_code == 404
    assert repo.client.get(f"{repo.api}/refs?include_prs=1").json()["pullRequests"] == []


def test_concurrent_pushes_to_one_branch_all_land_in_one_line(hub, repo):
    def push(n: int) -> int:
        return repo.through(hub.client("ann")).commit(repo.file(f"f{n}", b"x")).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(push, range(24))) == {200}
    assert len(names(repo)) == 25
    assert len(repo.client.get(f"{repo.api}/commits/main").json()) == 25


def test_concurrent_pushes_from_one_parent_let_one_through(hub, repo):
    parent = repo.head()

    def push(n: int) -> int:
        other = repo.through(hub.client("ann"))
        return other.commit(other.file(f"f{n}", b"x"), parentCommit=parent).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(push, range(8))) == [200] + [412] * 7


def test_the_card_of_main_becomes_what_lists_know(repo):
    card = (
        b"---\nlicense: mit\ntags: [nlp, 'x y']\nlanguage: [en, no]\nlibrary_name: transformers\n"
    )
    card += b"pipeline_tag: fill-mask\ndatasets: [squad]\nbase_model: a/b\n---\n# Title"
    repo.put("README.md", card)
    shape = repo.client.get(repo.api).json()
    assert shape["cardData"]["license"] == "mit" and shape["pipeline_tag"] == "fill-mask"
    assert shape["library_name"] == "transformers"
    assert {"nlp", "x y", "en", "no", "license:mit", "dataset:squad", "base_model:a/b"} <= set(
        shape["tags"]
    )
    found = repo.client.get("/api/models?filter=nlp&filter=license:mit").json()
    assert [row["id"] for row in found] == ["ann/m"]
    assert repo.client.get("/api/models?filter=other").json() == []
    repo.commit({"key": "deletedFile", "value": {"path": "README.md"}})
    assert repo.client.get(repo.api).json()["tags"] == []


def test_a_hostile_card_is_kept_and_says_nothing(repo):
    repo.put("README.md", b"---\na: &a [x]\nb: [*a" + b", *a" * 200 + b"]\n---\n")
    assert repo.client.get(repo.api).json()["cardData"] == {}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("---\nlicense: mit\n---\n", 200),
        ("# no metadata", 200),
        ("---\na: [\n---\n", 400),
        ("---\ntags: x\n---\n", 400),
        ("---\n- a\n---\n", 400),
        ("---\nlicense: mit\n", 400),
        ("---\n!!python/object/apply:os.system [id]\n---\n", 400),
        ("---\na: " + "[" * 500 + "\n---\n", 400),
    ],
)
def test_validate_yaml_stops_what_is_wrong(ann, content, status):
    answer = ann.post("/api/validate-yaml", json={"content": content, "repoType": "model"})
    assert answer.status_code == status, answer.text
    assert bool(answer.json()["errors"]) is (status == 400)


def test_validate_yaml_warns_about_missing_metadata(ann):
    answer = ann.post("/api/validate-yaml", json={"content": "# x", "repoType": "model"})
    assert "metadata" in answer.json()["warnings"][0]["message"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from(["header", "file", "lfsFile", "deletedFile", "deletedFolder", "x"])
fields = st.sampled_from(
    ["summary", "description", "parentCommit", "path", "content", "encoding", "oid", "size", "algo"]
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"key": keys | json_values, "value": st.dictionaries(fields, json_values) | json_values}
        ),
        max_size=4,
    )
)
def test_no_line_whatever_makes_a_500(repo, operations):
    body = b"\n".join(json.dumps(line).encode() for line in operations)
    for prefix in (b"", HEADER + b"\n"):
        answer = repo.client.post(f"{repo.api}/commit/main", content=prefix + body)
        assert answer.status_code < 500, (answer.text, prefix + body)


def test_git_would_give_the_file_the_same_id(repo):
    repo.put("a.txt", b"hello\n")
    row = repo.client.get(f"{repo.api}/tree/main").json()[-1]
    assert row["oid"] == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert row["oid"] == hashlib.sha1(b"blob 6\0hello\n").hexdigest()
