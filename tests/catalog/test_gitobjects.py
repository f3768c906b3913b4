"""Ids made in Python are those the git binary makes."""

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.catalog import gitobjects
from cairn.catalog.gitobjects import TreeEntry
from cairn.domain import Blob, Digest
from cairn.errors import IntegrityError, RequestError
from tests.catalog.histories import Git, blob

AWKWARD_NAMES = ["a", "a.b", "a-b", "a0", "ab", "é", "日本", "a b", "A", "a\\b", "~", "a+"]


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\x00\xff" * 5000])
def test_a_blob_fed_in_pieces_gets_the_id_git_gives_it(git: Git, data: bytes) -> None:
    hasher = gitobjects.blob_oid(len(data))
    for start in range(0, len(data), 777):
        hasher.update(memoryview(data)[start : start + 777])
    assert hasher.hexdigest() == git.blob(data) == gitobjects.blob_oid_of(data)


@pytest.mark.parametrize("sent", [b"abc", b"abcde"])
def test_a_blob_of_another_size_than_announced_has_no_id(sent: bytes) -> None:
    hasher = gitobjects.blob_oid(4)
    hasher.update(sent)
    with pytest.raises(IntegrityError):
        hasher.hexdigest()


def test_an_lfs_pointer_is_the_text_of_the_specification() -> None:
    # The example of https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
    pointer = gitobjects.lfs_pointer(Blob(Digest.sha256(oid), 12345))
    assert pointer == (
        b"version https://git-lfs.github.com/spec/v1\n" + f"oid sha256:{oid}\nsize 12345\n".encode()
    )
    assert gitobjects.lfs_pointer_size(12345) == len(pointer)
    assert gitobjects.lfs_pointer_size(0) == len(gitobjects.lfs_pointer(blob(b"")))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(st.sampled_from(AWKWARD_NAMES), st.booleans(), min_size=1),
    st.integers(0, 2**32),
)
def test_a_tree_gets_the_id_git_gives_it(git: Git, kinds: dict[str, bool], seed: int) -> None:
    file_id = git.blob(str(seed).encode())
    folder_id = git("mktree", stdin=f"100644 blob {file_id}\tx\n".encode())
    entries = [
        TreeEntry(name.encode(), bytes.fromhex(folder_id if is_dir else file_id), is_dir)
        for name, is_dir in kinds.items()
    ]
    lines = b"".join(
        b"%s %s\t%s\x00"
        % (
            b"040000 tree" if entry.is_directory else b"100644 blob",
            entry.oid.hex().encode(),
            entry.name,
        )
        for entry in entries
    )
    assert gitobjects.tree_oid(entries) == git("mktree", "-z", stdin=lines)


def test_an_empty_tree_has_gits_well_known_id() -> None:
    assert gitobjects.tree_oid([]) == gitobjects.EMPTY_TREE


@pytest.mark.parametrize(
    ("title", "description"),
    [("Add", ""), ("Add", "Because.\n\nMore."), ("Größe ändern", "日本"), ("Two\nlines", "x\n\n")],
)
def test_a_commit_gets_the_id_git_gives_it(git: Git, title: str, description: str) -> None:
    when = datetime(2026, 11, 21, 10, 11, 12, 999_999, tzinfo=UTC)
    tree = git("mktree")
    parent = git("commit-tree", tree, stdin=b"p", **_identities("x", "y", when))
    message = gitobjects.commit_message(title, description)
    ours = gitobjects.commit_oid(
        tree, [parent], gitobjects.identity("Ada <L>", "ada@x.org"), when, message
    )
    theirs = git(
        "commit-tree", tree, "-p", parent,
        stdin=message.encode(), **_identities("Ada <L>", "ada@x.org", when),
    )  # fmt: skip
    assert ours == theirs


@pytest.mark.parametrize("name", [" Ada. ", "A<d>a", "'Ada'", 'x "y" z', "Ada\nL", "Jr.,\\"])
def test_names_are_cleaned_as_git_cleans_them(git: Git, name: str) -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    tree = git("mktree")
    ours = gitobjects.commit_oid(tree, [], gitobjects.identity(name, "e@x"), when, "m\n")
    assert ours == git("commit-tree", tree, stdin=b"m\n", **_identities(name, "e@x", when))


@pytest.mark.parametrize(
    ("title", "description"), [("", ""), (" \n", "x"), ("a\0", ""), ("a", "\ud800")]
)
def test_messages_git_could_not_hold_are_refused(title: str, description: str) -> None:
    with pytest.raises(RequestError):
        gitobjects.commit_message(title, description)


def test_object_ids_are_plain_sha1() -> None:
    assert gitobjects.object_oid(b"blob", b"x") == hashlib.sha1(b"blob 1\0x").hexdigest()


def _identities(name: str, email: str, when: datetime) -> dict[str, str]:
    stamp = f"{int(when.timestamp())} +0000"
    return {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", email), ("DATE", stamp))
    }
