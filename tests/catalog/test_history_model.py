"""Whatever is committed, a repo equals a plain dict of files, and its ids equal git's."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cairn.catalog import DeleteFile, DeleteFolder, open_catalog
from cairn.catalog.gitobjects import EMPTY_TREE, lfs_pointer
from cairn.domain import Directory, Entry
from cairn.errors import CairnError, ConflictError, EntryNotFoundError
from tests.catalog.histories import Git, blob, commit, new_repo, put, put_large

# Few names, so that files and folders of the same name come to meet; some sort oddly in git.
NAMES = st.sampled_from(["a", "a.b", "a-b", "a0", "é", "Z"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
DATA = st.sampled_from([b"", b"one", b"two", b"three"])
CHANGES = st.one_of(
    st.tuples(st.just("put"), PATHS, DATA, st.booleans()),
    st.tuples(st.just("delete"), PATHS),
    st.tuples(st.just("delete folder"), PATHS),
)

Files = dict[str, tuple[bytes, bool]]


def apply(files: Files, change: tuple) -> None:
    """The same change on a dict: path to data and whether it is held as LFS."""
    kind, path, *content = change
    below = [name for name in files if name.startswith(f"{path}/")]
    if kind == "put":
        parents = {path[:i] for i, letter in enumerate(path) if letter == "/"}
        if below or parents & files.keys():
            raise ConflictError
        files[path] = tuple(content)
        return
    if not below and (kind == "delete folder" or path not in files):
        raise EntryNotFoundError("")
    for name in below or [path]:
        del files[name]


def as_change(change: tuple):
    match change:
        case ("put", path, data, large):
            return put_large(path, data) if large else put(path, data)
        case ("delete", path):
            return DeleteFile(path)
        case (_, path):
            return DeleteFolder(path)


class Repo(RuleBasedStateMachine):
    """Random commits on one repo, compared after each with a dict and with git."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.git = Git(self.folder)
        self.catalog = open_catalog(f"sqlite:///{self.folder / 'catalog.db'}")
        self.repo = new_repo(self.catalog)
        self.files: Files = {}
        self.made: list[tuple[str, Files]] = []

    @initialize()
    def first(self) -> None:
        self.files = {"a/b": (b"one", False)}
        self._check(commit(self.catalog, self.repo, put("a/b", b"one")))

    @rule(changes=st.lists(CHANGES, max_size=8))
    def commit(self, changes: list[tuple]) -> None:
        expected = dict(self.files)
        try:
            for change in changes:
                apply(expected, change)
        except CairnError as error:
            with pytest.raises(type(error)):
                commit(self.catalog, self.repo, *map(as_change, changes))
            return
        self.files = expected
        self._check(commit(self.catalog, self.repo, *map(as_change, changes)))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def old_revisions_stay_as_they_were(self, data: st.DataObject) -> None:
        commit_id, files = data.draw(st.sampled_from(self.made))
        revision = self.catalog.history.resolve(self.repo.uid, commit_id)
        assert self._manifest(revision) == files

    def _check(self, revision) -> None:
        assert self._manifest(revision) == self.files
        in_git = {
            path: lfs_pointer(blob(data)) if large else data
            for path, (data, large) in self.files.items()
        }
        tree = self.git.tree(in_git) if in_git else EMPTY_TREE
        assert self.catalog.history.git_tree_id(revision.tree) == tree
        self._check_listing(revision, tree)
        self._check_changes(revision)
        self.made.append((revision.id, dict(self.files)))

    def _check_listing(self, revision, tree: str) -> None:
        listed = list(self.catalog.history.list_tree(revision.tree, recursive=True))
        theirs = self.git("ls-tree", "-r", "-t", "-z", tree).split("\0")[:-1]
        ours = [
            f"{'tree' if isinstance(entry, Directory) else 'blob'} {entry.oid}\t{entry.path}"
            for entry in listed
        ]
        assert ours == [line.partition(" ")[2] for line in theirs]
        for entry in listed:
            assert self.catalog.history.entry(revision.tree, entry.path) == entry

    def _check_changes(self, revision) -> None:
        if not revision.parents:
            return
        before = next(files for made, files in reversed(self.made) if made == revision.parents[0])
        differ = {path for path in before | self.files if before.get(path) != self.files.get(path)}
        changed = self.catalog.history.changes(self.repo.uid, revision.id)
        assert [change.path for change in changed] == sorted(differ)

    def _manifest(self, revision) -> Files:
        entries = self.catalog.history.manifest(revision.tree).entries
        assert list(entries) == sorted(entries)
        known = {blob(data): data for data in (b"", b"one", b"two", b"three")}
        assert all(isinstance(entry, Entry) for entry in entries.values())
        return {path: (known[entry.blob], entry.lfs) for path, entry in entries.items()}

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)


TestRepo = Repo.TestCase
TestRepo.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
