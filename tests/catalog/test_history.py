"""Commits, refs and trees: what comes in, what is refused, what comes back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from cairn.catalog import (
    Catalog,
    ChangeKind,
    DeleteFile,
    DeleteFolder,
    FileChange,
    PutFile,
    gitobjects,
    schema,
)
from cairn.catalog.tree_edit import MAX_DEPTH
from cairn.domain import Account, Directory, Entry
from cairn.errors import (
    ConflictError,
    EntryNotFoundError,
    ForbiddenError,
    IntegrityError,
    LimitError,
    NamingError,
    RepoNotFoundError,
    RequestError,
    RevisionNotFoundError,
    StaleParentError,
)
from tests.catalog.histories import (
    MAIN,
    WHEN,
    Git,
    blob,
    commit,
    model,
    new_repo,
    paths,
    put,
    put_large,
)


def test_a_repo_built_here_has_the_ids_git_gives_the_same_repo(catalog: Catalog, git: Git) -> None:
    repo = new_repo(catalog)
    large = b"weights" * 1000
    first = catalog.history.commit(
        repo.uid,
        MAIN,
        [put("README.md", b"# Hi\n"), put_large("model.safetensors", large), put("a/b/c", b"")],
        expected_parent=None,
        author=Account("ada", "Ada Lovelace", email="ada@example.org"),
        title="Add model",
        description="With weights.",
        when=WHEN,
    )
    second = commit(catalog, repo, put("a.txt", b"x"), DeleteFile("README.md"), title="Tidy")

    pointer = gitobjects.lfs_pointer(blob(large))
    tree = git.tree({"README.md": b"# Hi\n", "model.safetensors": pointer, "a/b/c": b""})
    assert catalog.history.git_tree_id(first.tree) == tree
    first_in_git = _commit_tree(git, tree, "Add model\n\nWith weights.\n", "ada@example.org")
    assert first.id == first_in_git
    tree = git.tree({"a.txt": b"x", "model.safetensors": pointer, "a/b/c": b""})
    email = "ada@users.noreply.invalid"
    assert second.id == _commit_tree(git, tree, "Tidy\n", email, "-p", first_in_git)


def _commit_tree(git: Git, tree: str, message: str, email: str, *options: str) -> str:
    stamp = f"{int(WHEN.timestamp())} +0000"
    return git(
        "commit-tree",
        tree,
        *options,
        stdin=message.encode(),
        GIT_AUTHOR_NAME="Ada Lovelace",
        GIT_AUTHOR_EMAIL=email,
        GIT_AUTHOR_DATE=stamp,
        GIT_COMMITTER_NAME="Ada Lovelace",
        GIT_COMMITTER_EMAIL=email,
        GIT_COMMITTER_DATE=stamp,
    )


def test_a_commit_comes_back_as_it_was_made(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    when = datetime(2026, 5, 5, 5, 5, 5, 123456, tzinfo=UTC)
    made = commit(catalog, repo, put("a", b"1"), title="First", when=when)
    assert catalog.history.resolve(repo.uid, "main") == made
    assert made.created_at == when.replace(microsecond=0)
    assert (made.parents, made.title, made.author) == ((), "First", "ada")
    later = commit(catalog, repo, put("a", b"2"))
    assert later.parents == (made.id,)


def test_a_file_comes_back_with_blob_id_and_kind(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("d/small", b"s"), put_large("d/large", b"L" * 50))
    small = catalog.history.entry(head.tree, "d/small")
    assert small == Entry("d/small", blob(b"s"), gitobjects.blob_oid_of(b"s"), lfs=False)
    large = catalog.history.entry(head.tree, "d/large")
    pointer = gitobjects.lfs_pointer(blob(b"L" * 50))
    oid = gitobjects.blob_oid_of(pointer)
    assert large == Entry("d/large", blob(b"L" * 50), oid, True, len(pointer))
    assert isinstance(catalog.history.entry(head.tree, "d"), Directory)


@pytest.mark.parametrize("path", ["nope", "d/nope", "d/small/x", "d/", "D", "\ud800", "d\0"])
def test_a_path_that_is_not_there_is_said_to_be_missing(catalog: Catalog, path: str) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("d/small", b"s"))
    with pytest.raises(EntryNotFoundError):
        catalog.history.entry(head.tree, path)


def test_trees_are_listed_in_the_order_of_git_ls_tree(catalog: Catalog, git: Git) -> None:
    files = dict.fromkeys(("a.b", "a-b", "a/z", "a/b/c", "a0", "B", "é/x", "z"), b"x")
    repo = new_repo(catalog)
    head = commit(catalog, repo, *(put(path, data) for path, data in files.items()))
    tree = git.tree(files)
    listed = list(catalog.history.list_tree(head.tree, recursive=True))
    theirs = git("ls-tree", "-r", "-t", "-z", tree).rstrip("\0").split("\0")
    ours = [
        f"{'040000 tree' if isinstance(e, Directory) else '100644 blob'} {e.oid}\t{e.path}"
        for e in listed
    ]
    assert ours == theirs
    top = [entry.path for entry in catalog.history.list_tree(head.tree)]
    assert top == git("ls-tree", "-z", "--name-only", tree).rstrip("\0").split("\0")
    below = [entry.path for entry in catalog.history.list_tree(head.tree, "a", recursive=True)]
    assert below == ["a/b", "a/b/c", "a/z"]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_listing_goes_on_behind_any_path_it_gave(catalog: Catalog, recursive: bool) -> None:
    repo = new_repo(catalog)
    names = ["a.b", "a-b", "a/z", "a/b/c", "a/b/d", "a/b.c", "a0", "z/y/x/w"]
    head = commit(catalog, repo, *(put(name) for name in names))

    def listed(**options) -> list[str]:
        found = catalog.history.list_tree(head.tree, recursive=recursive, **options)
        return [entry.path for entry in found]

    whole = listed()
    for index, path in enumerate(whole):
        assert listed(after=path) == whole[index + 1 :]
    assert listed(after="a/nothing") == [p for p in whole if p > "a/nothing" or p in ("a/z",)] or (
        not recursive
    )
    assert listed(after="zz") == []


def test_a_listing_below_a_folder_goes_on_too(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a/1"), put("a/2/x"), put("a/3"), put("b"))
    found = catalog.history.list_tree(head.tree, "a", recursive=True, after="a/2")
    assert [entry.path for entry in found] == ["a/2/x", "a/3"]
    with pytest.raises(RequestError):
        catalog.history.list_tree(head.tree, "a", after="b")


@pytest.mark.parametrize("path", ["f", "f/x", "none"])
def test_only_directories_can_be_listed(catalog: Catalog, path: str) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("f"))
    with pytest.raises(EntryNotFoundError):
        catalog.history.list_tree(head.tree, path)


def test_changes_apply_in_their_order(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("a", b"1"), put("d/x"), put("d/y/z"), put("keep"))
    head = commit(catalog, repo, DeleteFile("a"), put("a/b", b"2"), DeleteFolder("d/"), put("d"))
    assert paths(catalog, head) == ["a/b", "d", "keep"]
    head = commit(catalog, repo, put("keep", b"1"), put("keep", b"2"))
    assert catalog.history.entry(head.tree, "keep").blob == blob(b"2")


def test_deleting_a_folder_as_a_file_removes_all_below(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("d/x"), put("d/e/f/g"), put("k"))
    assert paths(catalog, commit(catalog, repo, DeleteFile("d"))) == ["k"]


def test_folders_left_empty_vanish(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("d/e/f"))
    head = commit(catalog, repo, DeleteFile("d/e/f"))
    assert list(catalog.history.list_tree(head.tree)) == []
    assert catalog.history.git_tree_id(head.tree) == gitobjects.EMPTY_TREE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([put("d")], ConflictError),
        ([put("f/x")], ConflictError),
        ([put("f/x/y")], ConflictError),
        ([put("n"), put("n/x")], ConflictError),
        ([put("n/x"), put("n")], ConflictError),
        ([DeleteFile("none")], EntryNotFoundError),
        ([DeleteFile("f/x")], EntryNotFoundError),
        ([DeleteFile("f"), DeleteFile("f")], EntryNotFoundError),
        ([DeleteFolder("f")], EntryNotFoundError),
        ([DeleteFolder("none")], EntryNotFoundError),
        ([put("/".join("a" * (MAX_DEPTH + 1)))], LimitError),
    ],
)
def test_changes_that_do_not_fit_leave_the_repo_as_it_was(
    catalog: Catalog, changes: list, error: type[Exception]
) -> None:
    repo = new_repo(catalog)
    before = commit(catalog, repo, put("f"), put("d/x"))
    with pytest.raises(error):
        commit(catalog, repo, put("other"), *changes)
    assert catalog.history.resolve(repo.uid, "main") == before


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/.git/x", "a\n", "a/", "\ud800"])
def test_a_change_with_a_forbidden_path_cannot_be_made(path: str) -> None:
    with pytest.raises(NamingError):
        put(path)


def test_an_lfs_file_must_carry_its_own_pointers_id() -> None:
    with pytest.raises(IntegrityError):
        PutFile("w", blob(b"1"), gitobjects.lfs_oid(blob(b"2")), lfs=True, pointer_size_bytes=120)


def test_a_commit_that_changes_nothing_is_not_made(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a", b"1"))
    assert commit(catalog, repo, put("a", b"1"), title="Again") == head
    assert commit(catalog, repo, DeleteFile("a"), put("a", b"1"), title="Again") == head
    assert commit(catalog, repo, title="Nothing", parent=head.id) == head
    assert catalog.history.count_commits(repo.uid, head.id) == 1


def test_a_typed_in_pointer_never_becomes_the_file_it_points_to(catalog: Catalog) -> None:
    secret = b"private weights" * 100
    victim = new_repo(catalog, "ada/private", private=True)
    theirs = commit(catalog, victim, put_large("w", secret))
    thief = new_repo(catalog, "eve/copy")
    pointer = gitobjects.lfs_pointer(blob(secret))
    ours = commit(catalog, thief, put("w", pointer))
    assert catalog.history.git_tree_id(ours.tree) == catalog.history.git_tree_id(theirs.tree)
    entry = catalog.history.entry(ours.tree, "w")
    assert (entry.lfs, entry.blob) == (False, blob(pointer))
    assert not catalog.history.references(thief.uid, blob(secret).digest)
    # And the other way round: the pointer does not stand in the way of the real file.
    real = commit(catalog, thief, put_large("w", secret))
    assert catalog.history.entry(real.tree, "w").lfs
    assert real.id != ours.id


def test_a_commit_on_the_expected_parent_is_made_and_any_other_refused(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    first = commit(catalog, repo, put("a", b"1"))
    second = commit(catalog, repo, put("a", b"2"), parent=first.id[:5])
    for stale in (first.id, first.id[:7]):
        with pytest.raises(StaleParentError):
            commit(catalog, repo, put("a", b"3"), parent=stale)
    assert catalog.history.resolve(repo.uid, "main") == second
    with pytest.raises(StaleParentError):
        commit(catalog, new_repo(catalog, "ada/empty"), put("a"), parent=first.id)


@pytest.mark.parametrize("parent", ["", "abcd", "ABCDEF", "xyzxyz", "a" * 41])
def test_a_parent_that_is_no_commit_id_is_refused(catalog: Catalog, parent: str) -> None:
    repo = new_repo(catalog)
    with pytest.raises(RequestError):
        commit(catalog, repo, put("a"), parent=parent)


def test_commits_need_a_title_a_zone_and_a_branch(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    catalog.history.create_ref(repo.uid, "refs/tags/v1", head.id)
    for title in ("", "  ", "a\0b", "\ud800", "x" * 1001):
        with pytest.raises(RequestError):
            commit(catalog, repo, put("a", b"2"), title=title)
    with pytest.raises(RequestError):
        commit(catalog, repo, put("a", b"2"), when=datetime(2026, 1, 1))  # noqa: DTZ001
    for branch in ("main", "refs/tags/v1", "refs/heads/", "refs/heads/a..b", "refs/pr/x", "x\0"):
        with pytest.raises(NamingError):
            commit(catalog, repo, put("a", b"2"), branch=branch)
    with pytest.raises(RevisionNotFoundError):
        commit(catalog, repo, put("a", b"2"), branch="refs/heads/other")


def test_a_repo_that_is_not_there_takes_no_commit(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    catalog.repos.delete(repo.id)
    with pytest.raises(RepoNotFoundError):
        commit(catalog, repo, put("a"))


def test_revisions_are_found_by_every_name_they_have(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    first = commit(catalog, repo, put("a", b"1"))
    second = commit(catalog, repo, put("a", b"2"))
    create = catalog.history.create_ref
    create(repo.uid, "refs/heads/feature/x", first.id)
    create(repo.uid, "refs/tags/v1.0", first.id)
    create(repo.uid, "refs/tags/main", first.id)
    create(repo.uid, "refs/pr/1", second.id)
    expected = {
        "main": second,
        "HEAD": second,
        "refs/heads/main": second,
        "feature/x": first,
        "refs/heads/feature/x": first,
        "v1.0": first,
        "refs/tags/v1.0": first,
        "refs/tags/main": first,
        "refs/pr/1": second,
        first.id: first,
        second.id[:7]: second,
        second.id[:39]: second,
    }
    for name, revision in expected.items():
        assert catalog.history.resolve(repo.uid, name) == revision, name
    for name in ("nope", "", second.id[:6], "0" * 40, "refs/pr/2", "x\0", "\ud800", "pr/1", "%"):
        with pytest.raises(RevisionNotFoundError):
            catalog.history.resolve(repo.uid, name)


def test_a_prefix_of_two_commits_names_neither(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a", b"1"))
    twin = head.id[:10] + ("0" if head.id[10] != "0" else "1") + head.id[11:]
    with catalog.database.write() as connection:
        row = connection.execute(select(schema.commits)).one()
        connection.execute(insert(schema.commits), {**row._mapping, "id": twin})
    with pytest.raises(RevisionNotFoundError, match="several"):
        catalog.history.resolve(repo.uid, head.id[:10])
    assert catalog.history.resolve(repo.uid, head.id[:11]) == head


def test_a_commit_of_another_repo_is_not_found(catalog: Catalog) -> None:
    ours, theirs = new_repo(catalog), new_repo(catalog, "eve/other")
    commit(catalog, ours, put("a", b"1"))
    foreign = commit(catalog, theirs, put("a", b"2"), title="Other")
    for call in (
        lambda: catalog.history.resolve(ours.uid, foreign.id),
        lambda: catalog.history.log(ours.uid, foreign.id, 10),
        lambda: catalog.history.count_commits(ours.uid, foreign.id),
        lambda: catalog.history.changes(ours.uid, foreign.id),
        lambda: catalog.history.create_ref(ours.uid, "refs/heads/x", foreign.id),
    ):
        with pytest.raises(RevisionNotFoundError):
            call()


def test_refs_are_made_listed_and_deleted(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    made = catalog.history.create_ref(repo.uid, "refs/heads/dev", head.id)
    assert catalog.history.ref(repo.uid, "refs/heads/dev") == made
    assert [ref.name for ref in catalog.history.refs(repo.uid)] == ["refs/heads/dev", MAIN]
    dev = commit(catalog, repo, put("b"), branch="refs/heads/dev")
    assert catalog.history.resolve(repo.uid, "main") == head
    catalog.history.delete_ref(repo.uid, "refs/heads/dev")
    for call in (catalog.history.ref, catalog.history.delete_ref):
        for name in ("refs/heads/dev", "dev", "x\0"):
            with pytest.raises(RevisionNotFoundError):
                call(repo.uid, name)
    assert catalog.history.resolve(repo.uid, dev.id) == dev, "commits are never removed"
    assert catalog.audit.recent(1)[0].action == "ref.delete"


@pytest.mark.parametrize(
    "name", ["refs/heads/dev", "refs/heads/dev/x", "refs/heads/d", "refs/pr/1"]
)
def test_a_ref_can_not_be_made_twice_nor_above_or_below_another(
    catalog: Catalog, name: str
) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    for taken in ("refs/heads/dev", "refs/heads/d/e", "refs/pr/1"):
        catalog.history.create_ref(repo.uid, taken, head.id)
    with pytest.raises(ConflictError):
        catalog.history.create_ref(repo.uid, name, head.id)
    catalog.history.create_ref(repo.uid, "refs/heads/d_e", head.id)


@pytest.mark.parametrize("name", ["dev", "refs/x/y", "refs/heads/a b", "refs/pr/0", "refs/pr/x"])
def test_a_ref_needs_a_valid_full_name(catalog: Catalog, name: str) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a"))
    with pytest.raises(NamingError):
        catalog.history.create_ref(repo.uid, name, head.id)


def test_the_default_branch_stays(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("a"))
    with pytest.raises(ForbiddenError):
        catalog.history.delete_ref(repo.uid, MAIN)


def test_the_log_is_paged_newest_first(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    made = [commit(catalog, repo, put("a", b"%d" % n), title=f"{n}") for n in range(12)]
    newest_first = made[::-1]
    head = made[-1].id
    assert catalog.history.count_commits(repo.uid, head) == 12
    for limit, offset in ((5, 0), (5, 5), (5, 10), (100, 3), (1, 11), (5, 12), (0, 0)):
        page = catalog.history.log(repo.uid, head, limit, offset)
        assert page == newest_first[offset : offset + limit]
    assert catalog.history.log(repo.uid, made[4].id, 3, 1) == made[1:4][::-1]


def test_the_last_change_of_paths_and_folders_is_known(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.catalog.commits._WALK_STEP", 3)
    repo = new_repo(catalog)
    start = [put("a", b"1"), put("d/x", b"1"), put("d/y", b"1"), put("e/z", b"1")]
    first = commit(catalog, repo, *start, title="first")
    second = commit(catalog, repo, put("d/x", b"2"), DeleteFile("e/z"), title="second")
    later = [commit(catalog, repo, put("n", b"%d" % n), title=f"{n}") for n in range(9)]
    head = later[-1].id
    found = catalog.history.last_changes(repo.uid, head, ["a", "d", "d/x", "d/y", "n", "none"])
    assert found == {"a": first, "d": second, "d/x": second, "d/y": first, "n": later[-1]}
    before = catalog.history.last_changes(repo.uid, first.id, ["d"])
    assert before == {"d": first}


def test_a_commit_tells_which_files_it_changed(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("a", b"1"), put("d/x"), put("d/y"), put("same", b"1"))
    head = commit(
        catalog, repo, put("a", b"2"), DeleteFolder("d"), put("n", b"1"), put("same", b"1"),
        put("gone"), DeleteFile("gone"),
    )  # fmt: skip
    expected = [
        FileChange("a", ChangeKind.MODIFIED),
        FileChange("d/x", ChangeKind.DELETED),
        FileChange("d/y", ChangeKind.DELETED),
        FileChange("n", ChangeKind.ADDED),
    ]
    found = catalog.history.changes(repo.uid, head.id)
    assert [(c.path, c.kind) for c in found] == [(c.path, c.kind) for c in expected]


def test_blobs_of_all_revisions_and_fresh_uploads_are_live(catalog: Catalog, clock) -> None:
    repo, other = new_repo(catalog), new_repo(catalog, "eve/other")
    commit(catalog, repo, put("a", b"old"), put_large("w", b"both"))
    commit(catalog, repo, put("a", b"new"))
    commit(catalog, other, put("a", b"both"))
    catalog.uploads.record(repo.uid, blob(b"sent"))
    expected = {blob(data).digest for data in (b"old", b"new", b"both", b"sent")}
    found = list(catalog.history.live_digests())
    assert found == sorted(expected)
    assert catalog.history.references(repo.uid, blob(b"old").digest)
    assert not catalog.history.references(other.uid, blob(b"old").digest)
    clock.advance(hours=2)
    assert catalog.uploads.expire(clock() - timedelta(hours=1)) == 1
    catalog.repos.delete(repo.id)
    assert list(catalog.history.live_digests()) == [blob(b"both").digest]


def test_many_live_digests_come_in_pages(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.catalog.history._DIGESTS_AT_ONCE", 7)
    repo = new_repo(catalog)
    commit(catalog, repo, *(put(f"{n}", b"%d" % n) for n in range(30)))
    for n in range(20, 40):
        catalog.uploads.record(repo.uid, blob(b"%d" % n))
    expected = sorted(blob(b"%d" % n).digest for n in range(40))
    assert list(catalog.history.live_digests()) == expected


def test_uploads_prove_possession_for_their_repo_only(catalog: Catalog, clock) -> None:
    repo, other = new_repo(catalog), new_repo(catalog, "eve/other")
    sent = blob(b"bytes")
    catalog.uploads.record(repo.uid, sent)
    assert catalog.uploads.get(repo.uid, sent.digest) == sent
    assert catalog.uploads.get(other.uid, sent.digest) is None
    clock.advance(hours=1)
    catalog.uploads.record(repo.uid, sent)
    assert catalog.uploads.expire(clock()) == 0, "a second upload restarts the time"
    with pytest.raises(RepoNotFoundError):
        catalog.uploads.record("0" * 24, sent)


def test_a_deleted_repo_leaves_nothing_behind_for_its_successor(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    head = commit(catalog, repo, put("a", b"secret"))
    catalog.uploads.record(repo.uid, blob(b"secret"))
    catalog.repos.delete(repo.id)
    again = catalog.repos.create(model(), private=False)
    assert again.uid != repo.uid
    assert catalog.history.refs(again.uid) == []
    assert not catalog.history.references(again.uid, blob(b"secret").digest)
    assert catalog.uploads.get(again.uid, blob(b"secret").digest) is None
    with pytest.raises(RevisionNotFoundError):
        catalog.history.resolve(again.uid, head.id)


def test_a_folder_of_ten_thousand_files_and_a_deep_path_are_fine(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    deep = "/".join(["d"] * MAX_DEPTH)
    files = [put(f"many/{n:05}.bin", b"%d" % n) for n in range(10_000)]
    commit(catalog, repo, *files, put(deep))
    head = commit(catalog, repo, put("many/05000.bin", b"new"))
    assert catalog.history.entry(head.tree, "many/05000.bin").blob == blob(b"new")
    assert catalog.history.entry(head.tree, deep).path == deep
    page = catalog.history.list_tree(head.tree, "many", after="many/07999.bin")
    assert next(page).path == "many/08000.bin"
    assert (
        sum(isinstance(e, Entry) for e in catalog.history.list_tree(head.tree, recursive=True))
        == 10_001
    )
    assert len(catalog.history.changes(repo.uid, head.id)) == 1
