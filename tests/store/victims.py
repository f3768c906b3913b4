"""Processes to kill while they work on a store, and what must be true of it afterwards."""

import json
import subprocess
import sys
from pathlib import Path

from tests.store import victim

ROOT = Path(__file__).parents[2]


class Victims:
    """Processes to kill, forked by a server that has everything imported."""

    def __init__(self, *options: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.store.victim", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def start(self, action: str, root: Path, **more: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"action": action, "root": str(root), **more}) + "\n")
        self._server.stdin.flush()

    def killed(self) -> bool:
        """Wait for the victim's end; False if it finished its work first."""
        assert self._server.stdout is not None
        end = json.loads(self._server.stdout.readline())
        assert end["killed"] or end["code"] == 0, "the victim failed by itself"
        return bool(end["killed"])

    def close(self) -> None:
        self._server.communicate()


def check(root: Path, *, contents: bool = True) -> None:
    """The store opens, verifies, and holds what was acknowledged, byte for byte."""
    store = victim.open_store(root)
    assert store.verify().bad == ()
    for seed, digest in victim.acknowledged(root).items():
        assert store.has(digest)
        if contents:
            assert store.read_bytes(digest, 1 << 30) == victim.file_of(seed)


def check_tidy(root: Path) -> None:
    """Another gc leaves nothing behind that no blob needs."""
    victim.gc(root, {})
    store = victim.open_store(root)
    kept = victim.acknowledged(root)
    stats = store.stats()
    assert stats.blobs == len(set(kept.values()))
    assert list((root / "tmp").iterdir()) == []
    assert list(root.glob("packs/*.dead")) == []
    assert {p.stem for p in root.glob("packs/*.idx")} == {p.stem for p in root.glob("packs/*.pack")}
    before = sorted(p.name for p in root.glob("packs/*"))
    victim.gc(root, {})
    assert sorted(p.name for p in root.glob("packs/*")) == before
