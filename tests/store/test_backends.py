"""The local backend: the conformance suite, and what only a folder can show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.errors import UnavailableError
from cairn.store.backends import LocalBackend
from cairn.store.backends import local as local_module
from cairn.testing.backends import BackendSuite


class TestLocal(BackendSuite):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return LocalBackend(tmp_path / "store")


def test_bytes_are_synced_before_their_name_and_the_name_before_keep_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    backend = LocalBackend(tmp_path)
    real_sync, real_folder, real_link = local_module._sync, local_module._sync_folder, os.link

    def sync(descriptor: int) -> None:
        events.append("sync bytes")
        real_sync(descriptor)

    def sync_folder(folder: Path) -> None:
        events.append(f"sync {folder.relative_to(tmp_path)}")
        real_folder(folder)

    def link(source: Path, target: Path) -> None:
        real_link(source, target)
        events.append("link")

    monkeypatch.setattr(local_module, "_sync", sync)
    monkeypatch.setattr(local_module, "_sync_folder", sync_folder)
    monkeypatch.setattr(os, "link", link)
    draft = backend.draft()
    draft.write(b"x")
    draft.keep("raw/ab/cd")
    assert events == ["sync bytes", "sync .", "sync raw", "link", "sync raw/ab"]


def test_drafts_of_a_killed_process_are_swept_once_they_are_old(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from cairn.store.backends import LocalBackend;"
        "d = LocalBackend(Path(sys.argv[1])).draft(); d.write(b'x' * 1000);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    backend = LocalBackend(tmp_path)
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert backend.sweep_drafts(3600) == 0
    assert backend.sweep_drafts(0) == 1000
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_full_disk_is_unavailable_not_a_crash() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    draft = local_module.LocalDraft.__new__(local_module.LocalDraft)
    draft._descriptor = os.open(full, os.O_WRONLY)
    draft._open = False
    draft.size_bytes = 0
    try:
        with pytest.raises(UnavailableError, match=r"No space left.*cairn store gc"):
            draft.write(b"x")
    finally:
        os.close(draft._descriptor)


def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot use"):
        LocalBackend(tmp_path / "file" / "store")


def test_empty_folders_of_deep_keys_go_with_their_last_object(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    for name in ("a", "b"):
        draft = backend.draft()
        draft.write(b"x")
        draft.keep(f"staging/scope/{name}")
    backend.delete("staging/scope/a")
    assert (tmp_path / "staging/scope").is_dir()
    backend.delete("staging/scope/b")
    assert not (tmp_path / "staging/scope").exists()
