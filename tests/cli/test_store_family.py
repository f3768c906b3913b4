"""`cairn store export`, `import` and `verify` of a family file."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save

from cairn.cli.store import store
from cairn.store import open_local_store
from cairn.workflows.folder_store import add_file, named_files, open_folder, put_named
from tests.cli.command import CAIRN, cairn

BASE = np.random.default_rng(1).normal(0, 0.02, 60_000).astype(np.float32)
STEP = np.random.default_rng(2).normal(0, 1e-5, 60_000).astype(np.float32)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with a base, a fine-tune of it, and a text."""
    for name, weights in (("base", BASE), ("tuned", BASE + STEP)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(save({"w": weights}))
    (tmp_path / "note.txt").write_text("a note")
    folder = open_folder(tmp_path / "kept", create=True)
    paths = [tmp_path / name for name in ("base", "tuned", "note.txt")]
    for name, file in named_files(paths).items():
        add_file(folder, name, file, replace=False, progress=lambda done: None)
    return tmp_path / "kept"


def held(root: Path) -> dict[str, bytes]:
    """Everything that has a name."""
    store = open_local_store(root)
    return {n.name: store.read_bytes(n.blob.digest, 1 << 20) for n in store.names.list()}


def test_a_family_travels_in_one_file(kept: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "family.cairn", tmp_path / "other"
    made = cairn("store", "export", "tuned", "-o", str(path), "--store", str(kept), "--json")
    said = json.loads(made.stdout)
    assert (said["names"], said["blobs"]) == (1, 1)
    assert said["file_bytes"] == path.stat().st_size

    listed = json.loads(cairn("store", "import", str(path), "--list", "--json").stdout)
    assert [row["name"] for row in listed["names"]] == ["tuned/model.safetensors"]
    assert "tuned/model.safetensors" in cairn("store", "import", str(path), "--list").stdout
    assert "all good" in cairn("store", "verify", str(path)).stdout

    place = ("--store", str(other))
    done = json.loads(cairn("store", "import", str(path), "--json", *place).stdout)
    assert done["new_blobs"] == 1
    cairn("store", "import", str(path), "--into", "copy", *place)
    # What the tune is made from came along, and stays while it is needed.
    cairn("store", "gc", *place)
    file = (tmp_path / "tuned" / "model.safetensors").read_bytes()
    assert held(other) == {"tuned/model.safetensors": file, "copy/tuned/model.safetensors": file}
    given = open_local_store(kept).names.get("tuned/model.safetensors")
    assert open_local_store(other).names.get(given.name) == given


def test_a_family_goes_through_a_pipe(kept: Path, tmp_path: Path) -> None:
    piped = subprocess.run(
        [CAIRN, "store", "export", "-o", "-", "--store", kept], capture_output=True, check=True
    ).stdout
    path = tmp_path / "piped.cairn"
    path.write_bytes(piped)
    cairn("store", "import", str(path), "--store", str(tmp_path / "other"))
    assert held(tmp_path / "other") == held(kept)


def test_names_of_other_bytes_are_not_moved_unasked(kept: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "family.cairn", tmp_path / "other"
    cairn("store", "export", "-o", str(path), "--store", str(kept))
    taken = open_local_store(other)
    put_named(taken, "note.txt", lambda: [b"another note"], replace=False)
    place = ("--store", str(other))
    refused = cairn("store", "import", str(path), *place, expect=4)
    assert "--replace" in refused.stderr
    assert held(other) == {"note.txt": b"another note"}
    assert taken.stats().blobs == 1
    cairn("store", "import", str(path), "--replace", *place)
    assert held(other) == held(kept)


def test_errors_say_what_is_wrong(kept: Path, tmp_path: Path) -> None:
    path = tmp_path / "family.cairn"
    here = ("--store", str(kept))
    cairn("store", "export", "nothing", "-o", str(path), *here, expect=3)
    assert not path.exists()
    cairn("store", "export", "-o", str(path), *here)
    again = cairn("store", "export", "-o", str(path), *here, expect=4)
    assert "--force" in again.stderr
    cairn("store", "import", str(path), data=tmp_path / "nothing", expect=3)
    tight = cairn("store", "import", str(path), "--max-decoded", "1000", *here, expect=6)
    assert "at most 1000" in tight.stderr
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(8))
    assert "checksum" in cairn("store", "import", str(path), *here, expect=6).stderr


def test_help_shows_each_example_on_its_line() -> None:
    for command in ("export", "import"):
        shown = CliRunner().invoke(store, [command, "--help"]).output
        examples = [line for line in shown.splitlines() if line.startswith("  cairn store")]
        assert len(examples) == 3
        assert all(line.count("cairn store") == 1 for line in examples)
