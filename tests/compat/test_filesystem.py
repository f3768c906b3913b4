"""`HfFileSystem`: a repo as folders and files."""

import os

import pytest

from tests.compat.clients import Client, add, raises

NOISE = os.urandom(400_000)


@pytest.fixture
def filled(client: Client, repo: str) -> str:
    files = {"a/one.json": b"[1]", "a/two.json": b"[2]", "w.bin": NOISE, "a/b/c.txt": b"deep"}
    client.api.create_commit(repo, [add(p, c) for p, c in files.items()], commit_message="all")
    return repo


def test_folders_are_listed(client: Client, filled: str) -> None:
    assert set(client.fs.ls(filled, detail=False)) == {
        f"{filled}/{name}" for name in (".gitattributes", "a", "w.bin")
    }
    detail = {one["name"]: one for one in client.fs.ls(f"{filled}/a", detail=True)}
    assert detail[f"{filled}/a/b"]["type"] == "directory"
    assert detail[f"{filled}/a/one.json"]["size"] == 3


def test_files_are_found_by_glob_and_walked(client: Client, filled: str) -> None:
    assert client.fs.glob(f"{filled}/**/*.json") == [
        f"{filled}/a/one.json", f"{filled}/a/two.json",
    ]  # fmt: skip
    assert len(client.fs.find(filled)) == 5


def test_info_tells_size_and_kind(client: Client, filled: str) -> None:
    info = client.fs.info(f"{filled}/w.bin")
    assert (info["type"], info["size"]) == ("file", len(NOISE))
    assert client.fs.isdir(f"{filled}/a") and client.fs.isfile(f"{filled}/a/one.json")
    assert not client.fs.exists(f"{filled}/nope")
    with raises("FileNotFoundError"):
        client.fs.info(f"{filled}/nope")


def test_a_file_is_read_in_pieces_from_anywhere(client: Client, filled: str) -> None:
    places = [(0, 10), (399_990, 100), (123_456, 70_000), (5, 1), (400_000, 5)]
    assert client.run(_pieces, f"{filled}/w.bin", places) == [
        NOISE[start : start + length] for start, length in places
    ]


def _pieces(path, places):
    from huggingface_hub import HfFileSystem

    pieces = []
    with HfFileSystem().open(path, "rb", block_size=4096) as file:
        for start, length in places:
            file.seek(start)
            pieces.append(file.read(length))
    return pieces


def test_a_file_is_streamed(client: Client, filled: str) -> None:
    assert client.run(_streamed, f"{filled}/w.bin") == NOISE


def _streamed(path):
    from huggingface_hub import HfFileSystem

    with HfFileSystem().open(path, "rb", block_size=0) as file:
        return file.read()


def test_files_are_written_copied_and_removed(client: Client, filled: str) -> None:
    client.run(_write, f"{filled}/new/x.bin", NOISE)
    assert client.fs.cat_file(f"{filled}/new/x.bin") == NOISE
    client.fs.cp_file(f"{filled}/new/x.bin", f"{filled}/copied.bin")
    assert client.fs.cat_file(f"{filled}/copied.bin") == NOISE
    client.fs.cp_file(f"{filled}/a/one.json", f"{filled}/one.json")
    assert client.fs.cat_file(f"{filled}/one.json") == b"[1]"
    client.fs.rm(f"{filled}/new/x.bin")
    client.fs.rm(f"{filled}/a", recursive=True)
    assert sorted(client.api.list_repo_files(filled)) == [
        ".gitattributes", "copied.bin", "one.json", "w.bin",
    ]  # fmt: skip


def _write(path, content):
    from huggingface_hub import HfFileSystem

    with HfFileSystem().open(path, "wb") as file:
        file.write(content)


def test_a_revision_in_a_path_is_heeded(client: Client, filled: str) -> None:
    client.api.create_branch(filled, branch="feature/x")
    client.api.upload_file(
        path_or_fileobj=b"branch", path_in_repo="f.txt", repo_id=filled, revision="feature/x"
    )
    encoded = f"{filled}@feature%2Fx"
    assert client.fs.cat_file(f"{encoded}/f.txt") == b"branch"
    assert not client.fs.exists(f"{filled}/f.txt")
    assert client.run(_with_revision, f"{filled}/f.txt", "feature/x") == b"branch"


def _with_revision(path, revision):
    from huggingface_hub import HfFileSystem

    with HfFileSystem().open(path, "rb", revision=revision) as file:
        return file.read()


def test_datasets_have_paths_of_their_own(client: Client, name: str) -> None:
    client.api.create_repo(name, repo_type="dataset")
    client.run(_write, f"datasets/{name}/t.csv", b"a,b\n1,2\n")
    assert client.fs.cat_file(f"datasets/{name}/t.csv") == b"a,b\n1,2\n"
    with raises("FileNotFoundError"):
        client.fs.cat_file(f"{name}/t.csv")


def test_strangers_see_no_private_files(client: Client, name: str) -> None:
    client.api.create_repo(name, private=True)
    client.api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=name)
    assert client.fs.exists(f"{name}/x.txt")
    assert not client.with_token(None).fs.exists(f"{name}/x.txt")
