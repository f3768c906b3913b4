"""Monitoring a folder: only what changed is taken apart; new, worse, better and gone are told."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.domain import Digest, KnownFile, Source, Verdict
from cairn.errors import ConflictError
from cairn.scanner import gather
from cairn.scanner.advisories import AdvisoryData
from cairn.workflows import monitoring
from cairn.workflows.monitoring import Event, Round, Watch, look, to_scan
from cairn.workflows.watched_folder import list_folder
from cairn.workflows.watched_state import StateFile, WatchedState

# Opcodes written by hand: nothing here is ever unpickled.
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."
CLEAN = pickle.dumps({"epoch": 3}, protocol=4)


class Watching:
    """One folder, looked at again and again; what was scanned is in `scanned`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "watched"
        self.root.mkdir()
        self.kept = StateFile(folder / "state", self.root)
        self.scanned: list[str] = []
        self.meanwhile: Callable[[str], None] = lambda name: None

    def gather(self, source: Source):
        self.scanned.append(source.name)
        self.meanwhile(source.name)
        return gather(source)

    def look(
        self, advisories: AdvisoryData | None = None, extraction: str | None = None
    ) -> tuple[list[Event], Round]:
        """As another process would: with what was kept on the disk."""
        self.scanned.clear()
        with self.kept.held():
            state = self.kept.load(extraction or monitoring.extraction_version())
            tally = Round()
            data = advisories or AdvisoryData()
            watch = Watch(state, self.gather, data, self.kept.save, lambda _: None, lambda: False)
            return list(look(list_folder(self.root), watch, tally)), tally

    def told(self, **options) -> list[tuple[str, str]]:
        return [(event.what.value, event.path) for event in self.look(**options)[0]]


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    made = Watching(tmp_path)
    (made.root / "good.pkl").write_bytes(CLEAN)
    (made.root / "bad.pkl").write_bytes(MALICIOUS)
    return made


def test_later_looks_take_apart_only_what_changed(watching: Watching) -> None:
    events, tally = watching.look()
    assert [(e.what.value, e.path, e.before) for e in events] == [
        ("new", "bad.pkl", None),
        ("new", "good.pkl", None),
    ]
    assert (tally.files, tally.scanned, tally.verdict) == (2, 2, Verdict.MALICIOUS)
    assert watching.told() == [] and watching.scanned == []
    (watching.root / "good.pkl").write_bytes(MALICIOUS + b".")
    (watching.root / "bad.pkl").write_bytes(CLEAN)
    events, tally = watching.look()
    assert [(e.what.value, e.path, e.before) for e in events] == [
        ("better", "bad.pkl", Verdict.MALICIOUS),
        ("worse", "good.pkl", Verdict.CLEAN),
    ]
    (watching.root / "good.pkl").unlink()
    assert watching.told() == [("gone", "good.pkl")]
    assert watching.told() == []


def test_a_copy_and_a_touched_file_need_no_scan(watching: Watching) -> None:
    watching.look()
    (watching.root / "copy").mkdir()
    (watching.root / "copy" / "bad.pkl").write_bytes(MALICIOUS)
    os.utime(watching.root / "good.pkl", ns=(1, 1))
    assert watching.told() == [("new", "copy/bad.pkl")]
    assert watching.scanned == []


def test_another_name_is_another_file_to_loaders(watching: Watching) -> None:
    watching.look()
    (watching.root / "weights.safetensors").write_bytes(CLEAN)
    events, _ = watching.look()
    assert watching.scanned == ["weights.safetensors"]
    assert events[0].report is not None and events[0].report.verdict is not Verdict.CLEAN


def test_a_file_changed_in_place_is_noticed_though_its_time_was_set_back(
    watching: Watching,
) -> None:
    path = watching.root / "good.pkl"
    before = path.stat()
    watching.look()
    path.write_bytes(MALICIOUS.ljust(len(CLEAN), b"\n")[: len(CLEAN)])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (len(CLEAN), before.st_mtime_ns)
    assert watching.told() == [("worse", "good.pkl")]


def test_blobs_of_the_cache_are_scanned_once_under_the_names_that_lead_to_them(
    tmp_path: Path,
) -> None:
    watching = Watching(tmp_path)
    repo = watching.root / "models--ann--m"
    for folder in ("blobs", "snapshots/1/sub", "snapshots/2"):
        (repo / folder).mkdir(parents=True)
    (repo / "blobs" / "aa").write_bytes(MALICIOUS)
    (repo / "blobs" / "orphan").write_bytes(CLEAN)
    (repo / "snapshots/1/sub/m.pkl").symlink_to("../../../blobs/aa")
    (repo / "snapshots/2/m.pkl").symlink_to("../../blobs/aa")
    paths = [path.removeprefix("models--ann--m/") for _, path in watching.told()]
    assert sorted(paths) == ["blobs/orphan", "snapshots/1/sub/m.pkl", "snapshots/2/m.pkl"]
    assert len(watching.scanned) == 2


def test_links_that_lead_out_or_nowhere_are_unread_and_not_followed(
    watching: Watching, tmp_path: Path
) -> None:
    (tmp_path / "outside.pkl").write_bytes(MALICIOUS)
    (watching.root / "out").symlink_to(tmp_path / "outside.pkl")
    (watching.root / "up").symlink_to("..")
    (watching.root / "dangling").symlink_to("nowhere")
    (watching.root / "loop").symlink_to("loop")
    os.mkfifo(watching.root / "pipe")
    events, _ = watching.look()
    verdicts = {e.path: e.report.verdict for e in events if e.report}
    wanted = ("out", "up", "dangling", "loop", "pipe")
    assert {verdicts[name] for name in wanted} == {Verdict.UNREAD}
    assert sorted(watching.scanned) == ["bad.pkl", "good.pkl"]


def test_files_that_vanish_or_change_while_they_are_read_do_no_harm(watching: Watching) -> None:
    def vanish(name: str) -> None:
        (watching.root / "good.pkl").unlink(missing_ok=True)
        with (watching.root / "bad.pkl").open("ab") as file:
            file.write(b"more")

    watching.meanwhile = vanish
    events, _ = watching.look()
    assert [(e.path, e.report.verdict) for e in events if e.report] == [("bad.pkl", Verdict.UNREAD)]
    watching.meanwhile = lambda name: None
    assert watching.told() == [("worse", "bad.pkl")]


def test_new_rules_and_lists_judge_what_is_kept_without_reading(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.look()
    known = KnownFile(Digest.sha256(hashlib.sha256(CLEAN).hexdigest()), "bad", "me")
    listed = AdvisoryData((), {known.digest: known})
    assert watching.told(advisories=listed) == [("worse", "good.pkl")]
    assert watching.told() == [("better", "good.pkl")]
    assert watching.scanned == []
    monkeypatch.setattr(monitoring, "judging_version", lambda _: "newer")
    monkeypatch.setattr(monitoring, "report_of", lambda p, s, *_: report(p, s))
    assert watching.told() == [("better", "bad.pkl")] and watching.scanned == []


def report(path: str, size_bytes: int):
    from cairn.domain import FileReport

    return FileReport(path, size_bytes, (), ())


def test_what_is_as_it_was_is_not_even_judged_again(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = watching.look()
    monkeypatch.setattr(monitoring, "decode", None)
    events, after = watching.look()
    assert events == [] and after.counts == before.counts


def test_new_extractors_take_everything_apart_again_and_tell_only_changes(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.look()
    monkeypatch.setattr(monitoring, "extraction_version", lambda: "newer")
    assert watching.told() == [] and len(watching.scanned) == 2
    assert watching.told() == [] and watching.scanned == []


def test_a_large_file_is_known_by_what_the_file_system_says(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "HASHED_BYTES", 1)
    watching.look()
    monkeypatch.setattr(monitoring, "digest_of", None)
    assert watching.told() == [] and watching.scanned == []


def test_a_look_that_is_stopped_goes_on_where_it_was(watching: Watching) -> None:
    state, stops = WatchedState(), iter([False, True])
    watch = Watch(
        state,
        watching.gather,
        AdvisoryData(),
        watching.kept.save,
        lambda _: None,
        lambda: next(stops),
    )
    with watching.kept.held():
        first = list(look(list_folder(watching.root), watch, Round()))
    assert [event.path for event in first] == ["bad.pkl"]
    assert [file.paths for file in to_scan(list_folder(watching.root), state)] == [("good.pkl",)]
    assert watching.told() == [("new", "good.pkl")] and watching.scanned == ["good.pkl"]


def test_a_damaged_state_is_forgotten_and_two_do_not_watch_one_folder(
    watching: Watching, tmp_path: Path
) -> None:
    watching.look()
    (kept,) = (tmp_path / "state").glob("*.json")
    kept.write_text(kept.read_text()[:-9])
    assert len(watching.told()) == 2
    with watching.kept.held(), pytest.raises(ConflictError), watching.kept.held():
        pass
