"""Whoever follows a log notices when it is cut, rewritten, forked, damaged or signed by another."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.errors import EntryNotFoundError, IntegrityError, MalformedError, RequestError
from cairn.provenance.log import (
    CHECKPOINT,
    LogKeys,
    Mirror,
    PrivateKey,
    RememberedLogs,
    SignedHead,
    Tile,
    TreeHead,
    check_all,
    hash_tiles,
    pack_entries,
    root_hash,
)
from cairn.workflows.follow_log import CheckedLog, check_log, mirror_log
from tests.provenance.log_trees import entries_of, log_of

KEY = PrivateKey("hub.example/log", bytes(32))


class Served:
    """A log as a hub serves it; files put into `forged` are served in place of its own."""

    def __init__(self, entries: list[bytes], key: PrivateKey = KEY) -> None:
        self.entries = entries
        self.forged: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self._grown = log_of(entries)
        tree = self._grown.tree()
        self.head = TreeHead(KEY.name, len(entries), root_hash(tree.size, tree.node))
        self.note = key.sign(self.head.text).encode()

    def read(self, path: str, max_bytes: int) -> bytes:
        self.asked.append(path)
        content = self.forged[path] if path in self.forged else self._own(path)
        if content is None:
            raise EntryNotFoundError(path)
        assert len(content) <= max_bytes
        return content

    def _own(self, path: str) -> bytes | None:
        if path == CHECKPOINT:
            return self.note
        tile = Tile.at(path)
        if tile.level is not None:
            found = self._grown.tiles.get((tile.level, tile.number), b"")
            return found[: tile.width * 32] if len(found) >= tile.width * 32 else None
        entries = self.entries[tile.number * 256 :][: tile.width]
        return pack_entries(entries) if len(entries) == tile.width else None


def ignore(_: int) -> Callable[[int], None]:
    return lambda _: None


@pytest.fixture
def remembered(tmp_path: Path) -> RememberedLogs:
    return RememberedLogs(tmp_path / "remembered")


def check(served: Served, remembered: RememberedLogs, *, everything: bool = False) -> CheckedLog:
    return check_log(served, remembered, KEY.public, ignore if everything else None)


@pytest.mark.parametrize(
    ("old", "new"), [(0, 0), (0, 5), (5, 5), (5, 700), (256, 700), (300, 512), (1000, 70_000)]
)
def test_a_log_that_grew_is_let_through_and_few_files_are_read(
    remembered: RememberedLogs, old: int, new: int
) -> None:
    assert check(Served(entries_of(old)), remembered).before is None
    served = Served(entries_of(new))
    before = check(served, remembered).before
    assert before is not None
    assert before.size == old
    assert len(served.asked) <= 7, "no more than a few tiles show that a log only grew"


FORGERIES = {
    "cut": (entries_of(400)[:399], "was cut"),
    "emptied": ([], "was cut"),
    "first entry changed": ([b"x", *entries_of(500)[1:]], "rewritten"),
    "last seen entry changed": ([*entries_of(399), b"x", *entries_of(500)[400:]], "rewritten"),
    "entry taken out": ([*entries_of(500)[:7], *entries_of(500)[8:]], "rewritten"),
    "entry put in": ([*entries_of(500)[:7], b"x", *entries_of(500)[7:]], "rewritten"),
    "fork of the same size": ([*entries_of(399), b"x"], "rewritten"),
    "two entries exchanged": ([b"entry 1", b"entry 0", *entries_of(400)[2:]], "rewritten"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_log_with_another_past_is_refused_and_the_true_head_kept(
    remembered: RememberedLogs, name: str
) -> None:
    entries, why = FORGERIES[name]
    true = Served(entries_of(400))
    check(true, remembered)
    with pytest.raises(IntegrityError, match=why):
        check(Served(entries), remembered, everything=True)
    kept = remembered.of(KEY.name)
    assert kept is not None
    assert kept.last.head == true.head


@pytest.mark.parametrize("name", FORGERIES)
def test_tiles_of_the_true_log_do_not_help_a_forged_head(
    remembered: RememberedLogs, name: str
) -> None:
    entries, _ = FORGERIES[name]
    check(Served(entries_of(400)), remembered)
    true = Served(entries_of(500))
    true.note = Served(entries).note
    with pytest.raises(IntegrityError):
        check(true, remembered)


def test_a_head_signed_by_another_key_of_the_same_name_is_refused(
    remembered: RememberedLogs,
) -> None:
    other = PrivateKey(KEY.name, b"\1" * 32)
    with pytest.raises(IntegrityError, match="not signed by"):
        check(Served(entries_of(5), other), remembered)
    check(Served(entries_of(5)), remembered)
    with pytest.raises(IntegrityError, match="ask why it changed"):
        check_log(Served(entries_of(6), other), remembered, other.public, None)


def test_a_head_of_another_log_signed_by_the_same_key_is_refused(
    remembered: RememberedLogs,
) -> None:
    text = TreeHead("other.example/log", 0, hashlib.sha256(b"").digest()).text
    with pytest.raises(IntegrityError, match=r"other\.example/log"):
        SignedHead.of(KEY.sign(text).encode(), LogKeys(KEY.public))


def test_a_log_without_a_known_key_is_not_checked_and_then_by_the_remembered_one(
    remembered: RememberedLogs,
) -> None:
    served = Served(entries_of(5))
    with pytest.raises(RequestError, match="--key"):
        check_log(served, remembered, None, None)
    check(served, remembered)
    assert check_log(served, remembered, None, None).key == KEY.public


def test_a_remembered_file_that_was_changed_is_not_trusted(
    tmp_path: Path, remembered: RememberedLogs
) -> None:
    check(Served(entries_of(5)), remembered)
    (path,) = (tmp_path / "remembered").iterdir()
    content = path.read_bytes()
    for changed in (content.replace(b"\n5\n", b"\n4\n"), b"", b"\xff" + content):
        path.write_bytes(changed)
        with pytest.raises(IntegrityError, match="was changed"):
            check(Served(entries_of(5)), remembered)


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "entry": ("tile/entries/000", lambda content: content.replace(b"entry 7", b"entry X")),
    "bundle cut": ("tile/entries/001", lambda content: content[:-1]),
    "bundle short": ("tile/entries/001", lambda content: content[:-11]),
    "bundle missing": ("tile/entries/002.p/188", lambda content: None),
    "leaf hash": ("tile/0/000", lambda content: bytes(32) + content[32:]),
    "partial leaf hash": ("tile/0/002.p/188", lambda content: content[:-32] + bytes(32)),
    "upper hash": ("tile/1/000.p/2", lambda content: content[:32] + bytes(32)),
    "tile cut": ("tile/0/001", lambda content: content[:-32]),
    "tile missing": ("tile/0/001", lambda content: None),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_reading_everything_finds_any_file_that_was_changed(name: str) -> None:
    path, damage = DAMAGE[name]
    served = Served(entries_of(700))
    check_all(served, served.head, lambda _: None)
    served.forged[path] = damage(served.read(path, 1 << 20))
    with pytest.raises(IntegrityError):
        check_all(served, served.head, lambda _: None)


def test_reading_everything_reads_every_entry_once() -> None:
    served = Served(entries_of(700))
    counted: list[int] = []
    check_all(served, served.head, counted.append)
    assert sum(counted) == 700


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one() -> None:
    grown, old = Served(entries_of(700)), Served(entries_of(300))
    for tile in hash_tiles(300):
        if not tile.is_full and tile.level == 0:
            grown.forged[tile.path] = None
    check_all(grown, old.head, lambda _: None)


def mirrored(served: Served, folder: Path, remembered: RememberedLogs) -> CheckedLog:
    return mirror_log(served, Mirror(folder), remembered, KEY.public, ignore)


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_mirror_in_steps_is_the_log_file_for_file(
    tmp_path: Path, remembered: RememberedLogs
) -> None:
    folder = tmp_path / "mirror"
    for size in (0, 3, 256, 257, 511, 700, 700):
        served = Served(entries_of(size))
        mirrored(served, folder, remembered)
        bundles = {t.path for t in hash_tiles(size) if t.level == 0}
        wanted = {t.path for t in hash_tiles(size)} | {CHECKPOINT}
        wanted |= {path.replace("tile/0/", "tile/entries/") for path in bundles}
        assert files_in(folder) == {path: served.read(path, 1 << 30) for path in wanted}
        check_all(Mirror(folder), served.head, lambda _: None)


def test_a_mirror_fetches_only_what_is_new(tmp_path: Path, remembered: RememberedLogs) -> None:
    mirrored(Served(entries_of(5000)), tmp_path / "mirror", remembered)
    served = Served(entries_of(5001))
    mirrored(served, tmp_path / "mirror", remembered)
    bundles = {path for path in served.asked if path.startswith("tile/entries")}
    assert bundles == {"tile/entries/019.p/137"}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_mirror_does_not_follow_a_log_with_another_past(tmp_path: Path, name: str) -> None:
    entries, why = FORGERIES[name]
    folder = tmp_path / "mirror"
    mirrored(Served(entries_of(400)), folder, RememberedLogs(tmp_path / "a"))
    before = files_in(folder)
    with pytest.raises(IntegrityError, match=why):  # and with nothing remembered but the mirror
        mirrored(Served(entries), folder, RememberedLogs(tmp_path / "b"))
    assert files_in(folder) == before


@pytest.mark.parametrize("name", ["entry", "bundle cut", "bundle missing"])
def test_a_mirror_of_damaged_entries_has_no_head_and_is_completed_later(
    tmp_path: Path, remembered: RememberedLogs, name: str
) -> None:
    path, damage = DAMAGE[name]
    folder = tmp_path / "mirror"
    served = Served(entries_of(700))
    served.forged[path] = damage(served.read(path, 1 << 20))
    with pytest.raises((IntegrityError, MalformedError, EntryNotFoundError)):
        mirrored(served, folder, remembered)
    assert Mirror(folder).is_empty
    mirrored(Served(entries_of(700)), folder, remembered)
    check_all(Mirror(folder), served.head, lambda _: None)


def test_what_is_remembered_is_compared_before_a_fresh_mirror_is_made(
    tmp_path: Path, remembered: RememberedLogs
) -> None:
    check(Served(entries_of(400)), remembered)
    with pytest.raises(IntegrityError, match="was cut"):
        mirrored(Served(entries_of(399)), tmp_path / "mirror", remembered)
    assert Mirror(tmp_path / "mirror").is_empty
