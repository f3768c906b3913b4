"""`cairn store repair`, as a shell runs it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tests.cli.command import cairn

WEIGHTS = np.random.default_rng(1).normal(0, 0.02, 60_000).astype(np.float32)


def test_what_is_damaged_is_named_then_healed_then_nothing_is_left_to_do(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.safetensors").write_bytes(save({"w": WEIGHTS}))
    kept = ("--store", str(tmp_path / "kept"))
    cairn("store", "add", str(files), *kept)
    assert "no damage is known; --verify" in cairn("store", "repair", *kept).stdout

    (pack,) = (tmp_path / "kept").glob("packs/*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    lost = cairn("store", "repair", "--verify", *kept, expect=1).stdout
    assert lost.startswith("LOST")
    assert f"pack {pack.stem}" in lost
    assert "files/model.safetensors" in lost
    assert "0 blobs healed, 1 lost" in lost
    cairn("store", "verify", *kept, expect=1)

    done = json.loads(cairn("store", "repair", "--from", str(files), "--json", *kept).stdout)
    assert done["lost"] == []
    (healed,) = done["healed"]
    assert (healed["from"], healed["names"]) == (str(files), ["files/model.safetensors"])
    again = cairn("store", "repair", "--verify", "--from", str(files), *kept).stdout
    assert again == "no damage is known\n"


def test_a_place_that_is_not_there_or_the_store_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    kept = ("--store", str(tmp_path / "kept"))
    cairn("store", "add", str(tmp_path / "file"), *kept)
    missing = cairn("store", "repair", "--from", str(tmp_path / "gone"), *kept, expect=3)
    assert "no such folder" in missing.stderr
    itself = cairn("store", "repair", "--from", str(tmp_path / "kept"), *kept, expect=2)
    assert "is the store to repair" in itself.stderr
