"""`cairn store repair`, as a shell runs it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.config import load_settings
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
    assert "no such file or folder" in missing.stderr
    itself = cairn("store", "repair", "--from", str(tmp_path / "kept"), *kept, expect=2)
    assert "is the store to repair" in itself.stderr
    hub = ("--from", "https://localhost:1")
    nameless = cairn("store", "repair", *hub, *kept, expect=2)
    assert "a folder has none" in nameless.stderr


def test_a_token_is_not_shown_to_two_hubs(tmp_path: Path) -> None:
    open_house(load_settings(data_dir=tmp_path)).catalog.close()
    hubs = ("--from", "https://localhost:1", "--from", "https://localhost:2")
    cairn("store", "repair", *hubs, data=tmp_path)
    token = {"HF_TOKEN": "hf_secret"}
    refused = cairn("store", "repair", *hubs, data=tmp_path, env=token, expect=2)
    assert "a token is for one hub" in refused.stderr
