"""Commits of every shape, and that each way of sending bytes is really the one in use."""

import os
import random
from hashlib import sha256
from pathlib import Path

import pytest

from tests.compat.clients import Client, Stream, add, copy, delete, raises
from tests.compat.hubs import Hub

LARGE = random.Random(2).randbytes(300_000)  # noise: several Xet chunks, nothing to compress


def content(client: Client, repo: str, path: str, revision: str | None = None) -> bytes:
    """What the client gets when it downloads a file afresh."""
    return client.run(_downloaded, repo, path, revision)


def _downloaded(repo, path, revision):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from huggingface_hub import hf_hub_download

    with TemporaryDirectory() as folder:
        local = hf_hub_download(repo, path, revision=revision, cache_dir=folder)
        return Path(local).read_bytes()


def test_a_file_is_uploaded_from_a_path_from_bytes_and_from_a_stream(
    client: Client, repo: str, tmp_path: Path
) -> None:
    local = tmp_path / "here.bin"
    local.write_bytes(LARGE)
    for path, source in [("p.bin", local), ("b.bin", LARGE[1:]), ("s.bin", Stream(LARGE[2:]))]:
        client.api.upload_file(path_or_fileobj=source, path_in_repo=path, repo_id=repo)
    assert content(client, repo, "p.bin") == LARGE
    assert content(client, repo, "b.bin") == LARGE[1:]
    assert content(client, repo, "s.bin") == LARGE[2:]


def test_each_client_sends_large_files_its_own_way(client: Client, repo: str, hub: Hub) -> None:
    mark = hub.mark()
    client.api.upload_file(path_or_fileobj=os.urandom(200_000), path_in_repo="w.bin", repo_id=repo)
    sent = hub.requests(mark)
    by_xet = any(line.startswith("POST /cas/") and "/shards 200" in line for line in sent)
    by_lfs = any("/info/lfs/objects/batch" in line for line in sent)
    assert (by_xet, by_lfs) == (client.mode.speaks_xet, not client.mode.speaks_xet), sent


def test_a_commit_adds_deletes_and_copies_at_once(client: Client, repo: str) -> None:
    client.api.create_commit(
        repo,
        [
            add("keep.txt", b"keep"),
            add("drop.txt", b"drop"),
            add("folder/one.txt", b"1"),
            add("folder/deep/two.bin", LARGE),
            add("weights.bin", LARGE),
        ],
        commit_message="first",
    )
    done = client.api.create_commit(
        repo,
        [
            delete("drop.txt"),
            delete("folder/"),
            copy("weights.bin", "again/weights.bin"),
            add("new.bin", LARGE[5:]),
            add("keep.txt", b"changed"),
        ],
        commit_message="second",
        commit_description="all kinds of operations",
    )
    assert sorted(client.api.list_repo_files(repo)) == [
        ".gitattributes",
        "again/weights.bin",
        "keep.txt",
        "new.bin",
        "weights.bin",
    ]
    assert content(client, repo, "again/weights.bin") == LARGE
    assert content(client, repo, "keep.txt") == b"changed"
    last = client.api.list_repo_commits(repo)[0]
    assert (last.commit_id, last.title) == (done.oid, "second")
    assert last.message == "all kinds of operations"


def test_a_regular_file_is_copied_within_a_repo(client: Client, repo: str) -> None:
    client.api.create_commit(repo, [add("a.txt", b"text")], commit_message="first")
    client.api.create_commit(repo, [copy("a.txt", "b/c.txt")], commit_message="copy")
    assert content(client, repo, "b/c.txt") == b"text"


def test_a_file_is_copied_from_an_older_revision(client: Client, repo: str) -> None:
    first = client.api.create_commit(repo, [add("w.bin", LARGE)], commit_message="first")
    client.api.create_commit(repo, [add("w.bin", LARGE[:-1])], commit_message="second")
    client.api.create_commit(
        repo, [copy("w.bin", "old.bin", revision=first.oid)], commit_message="third"
    )
    assert content(client, repo, "old.bin") == LARGE


def test_an_empty_file_stays_empty(client: Client, repo: str) -> None:
    client.api.create_commit(
        repo, [add("empty.txt", b""), add("empty.bin", b"")], commit_message="nothing"
    )
    assert content(client, repo, "empty.txt") == content(client, repo, "empty.bin") == b""
    assert {f.size for f in client.api.get_paths_info(repo, ["empty.txt", "empty.bin"])} == {0}


STRANGE_NAMES = [
    "with space.txt",
    "größe/日本語/ファイル.txt",
    "100%.txt",
    "percent%20encoded%2Fname.txt",
    "a+b=c&d.txt",
    "hash#mark.txt",
    "question?.txt",
    "semi;colon,comma.txt",
    "quote'and\"double.txt",
    "back\\slash.txt",
    "[brackets]{braces}.txt",
    "emoji-🪨.txt",
    "dots...txt",
    "~tilde@at!bang$.txt",
]


def test_file_names_of_every_kind_come_back_as_they_were(client: Client, repo: str) -> None:
    names = [*STRANGE_NAMES, *(name.replace(".txt", ".bin") for name in STRANGE_NAMES)]
    contents = {name: name.encode() * 20 for name in names}
    client.api.create_commit(
        repo, [add(name, data) for name, data in contents.items()], commit_message="names"
    )
    assert set(client.api.list_repo_files(repo)) == {".gitattributes", *names}
    assert {f.path for f in client.api.get_paths_info(repo, names)} == set(names)
    for name in names:
        assert client.api.file_exists(repo, name), name
    assert client.run(_read_by_url, repo, names) == contents


def _read_by_url(repo, names):
    """Through `hf_hub_url`, because some of these names are no file names on every system."""
    import urllib.request

    from huggingface_hub import hf_hub_url

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return {name: direct.open(hf_hub_url(repo, name)).read() for name in names}


def test_a_deeply_nested_path_is_kept(client: Client, repo: str) -> None:
    deep = "/".join(f"level{n}" for n in range(40)) + "/leaf.txt"
    client.api.upload_file(path_or_fileobj=b"leaf", path_in_repo=deep, repo_id=repo)
    assert content(client, repo, deep) == b"leaf"


def test_three_hundred_small_files_arrive_together(
    client: Client, repo: str, tmp_path: Path
) -> None:
    for number in range(300):
        path = tmp_path / f"part{number % 7}" / f"{number:03}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {number}\n")
    client.api.upload_folder(repo_id=repo, folder_path=tmp_path)
    listed = client.api.list_repo_files(repo)
    assert len(listed) == 301
    assert content(client, repo, "part5/299.txt") == b"file 299\n"


def test_a_folder_is_uploaded_by_patterns_and_replaces_what_it_names(
    client: Client, repo: str, tmp_path: Path
) -> None:
    client.api.create_commit(
        repo,
        [add("run/old.json", b"{}"), add("run/old.bin", LARGE), add("other.json", b"{}")],
        commit_message="before",
    )
    for name in ("a.json", "b.json", "c.bin", "secret.json", "note.md"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    client.api.upload_folder(
        repo_id=repo,
        folder_path=tmp_path,
        path_in_repo="run",
        allow_patterns=["*.json", "*.bin"],
        ignore_patterns="secret*",
        delete_patterns="*.json",
        commit_message="after",
    )
    assert sorted(client.api.list_repo_files(repo)) == [
        ".gitattributes",
        "other.json",
        "run/a.json",
        "run/b.json",
        "run/c.bin",
        "run/old.bin",
    ]


def test_what_a_gitignore_names_is_not_uploaded(client: Client, repo: str, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\nlogs/\n")
    (tmp_path / "a.log").write_text("x")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "b.txt").write_text("x")
    (tmp_path / "kept.txt").write_text("x")
    client.api.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert sorted(client.api.list_repo_files(repo)) == [".gitattributes", ".gitignore", "kept.txt"]


def test_the_same_bytes_again_make_no_new_commit(client: Client, repo: str) -> None:
    files = [add("w.bin", LARGE), add("a.txt", b"text")]
    first = client.api.create_commit(repo, files, commit_message="first")
    again = client.api.create_commit(repo, files, commit_message="again")
    assert again.oid == first.oid
    assert len(client.api.list_repo_commits(repo)) == 2


def test_the_same_bytes_elsewhere_are_accepted_without_harm(
    client: Client, repo: str, name: str
) -> None:
    client.api.create_commit(repo, [add("w.bin", LARGE)], commit_message="first")
    client.api.create_commit(repo, [add("moved/w2.bin", LARGE)], commit_message="second")
    other = name + "-other"
    client.api.create_repo(other)
    client.api.create_commit(other, [add("w.bin", LARGE)], commit_message="first")
    assert content(client, repo, "moved/w2.bin") == content(client, other, "w.bin") == LARGE


def test_a_commit_on_a_stale_parent_is_refused_and_changes_nothing(
    client: Client, repo: str
) -> None:
    start = client.api.model_info(repo).sha
    done = client.api.create_commit(
        repo, [add("a.txt", b"a")], commit_message="a", parent_commit=start
    )
    with raises("HfHubHTTPError", 412):
        client.api.create_commit(
            repo, [add("b.txt", b"b")], commit_message="b", parent_commit=start
        )
    assert client.api.model_info(repo).sha == done.oid
    client.api.create_commit(repo, [add("b.txt", b"b")], commit_message="b", parent_commit=done.oid)
    assert client.api.file_exists(repo, "b.txt")


def test_a_pull_request_holds_a_commit_apart_from_its_branch(client: Client, repo: str) -> None:
    client.api.create_commit(repo, [add("a.txt", b"a")], commit_message="base")
    done = client.api.create_commit(
        repo,
        [add("proposed.txt", b"p"), add("proposed.bin", LARGE)],
        commit_message="proposal",
        create_pr=True,
    )
    assert done.pr_url.endswith(f"/{repo}/discussions/1")
    assert not client.api.file_exists(repo, "proposed.txt")
    assert content(client, repo, "proposed.bin", "refs/pr/1") == LARGE
    client.api.create_commit(
        repo, [add("more.txt", b"m")], commit_message="more", revision="refs/pr/1"
    )
    files = client.api.list_repo_files(repo, revision="refs/pr/1")
    assert files == [".gitattributes", "a.txt", "more.txt", "proposed.bin", "proposed.txt"]
    [request] = client.api.list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert request.ref == "refs/pr/1"


def test_files_and_folders_are_deleted_by_name_and_by_pattern(client: Client, repo: str) -> None:
    paths = ["a.txt", "b.txt", "logs/1.log", "logs/2.log", "keep/c.bin"]
    client.api.create_commit(repo, [add(p, p.encode()) for p in paths], commit_message="all")
    client.api.delete_file("a.txt", repo)
    client.api.delete_folder("keep", repo)
    client.api.delete_files(repo, delete_patterns=["logs/*"])
    assert client.api.list_repo_files(repo) == [".gitattributes", "b.txt"]
    with raises("HfHubHTTPError"):
        client.api.delete_file("never.txt", repo)


def test_files_of_datasets_and_spaces_go_the_same_way(client: Client, name: str) -> None:
    for kind, sdk in (("dataset", {}), ("space", {"space_sdk": "gradio"})):
        client.api.create_repo(name, repo_type=kind, **sdk)
        client.api.create_commit(
            name, [add("d/x.parquet", LARGE), add("t.txt", b"t")],
            commit_message="data", repo_type=kind,
        )  # fmt: skip
        assert client.run(_downloaded_of, name, "d/x.parquet", kind) == LARGE


def _downloaded_of(repo, path, kind):
    from pathlib import Path

    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo, path, repo_type=kind)).read_bytes()


@pytest.mark.parametrize("size", [32, 99_999, 100_000, 100_001, 250_000])
def test_a_large_file_is_sent_in_parts_if_the_hub_asks_for_it(
    multipart_client: Client, multipart_hub: Hub, name: str, size: int
) -> None:
    client, name = multipart_client, name.replace("alice/", "admin/")
    client.api.create_repo(name)
    mark = multipart_hub.mark()
    # Of what admin may read in another repo, nothing would be sent.
    data = (sha256(name.encode()).digest() + LARGE)[:size]
    client.api.upload_file(path_or_fileobj=data, path_in_repo="w.bin", repo_id=name)
    puts = [line for line in multipart_hub.requests(mark) if line.startswith("PUT ")]
    assert len(puts) == (-(-size // 40_000) if size > 100_000 else 1), puts
    assert content(client, name, "w.bin") == data
