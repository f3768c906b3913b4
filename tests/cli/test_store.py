"""`cairn store` over a real store in a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.config import load_settings
from tests.cli.command import cairn


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose store holds one checkpoint that no revision names."""
    folder = tmp_path / "data"
    weights = np.random.default_rng(1).standard_normal((256, 256)).astype(np.float32)
    house = open_house(load_settings(data_dir=folder))
    house.store.put_bytes(save({"weight": weights}))
    house.catalog.close()
    return folder


def test_optimize_then_stats_show_the_space_saved(data: Path) -> None:
    done = json.loads(cairn("store", "optimize", "--json", data=data).stdout)
    assert done["blobs"] == 1
    stats = json.loads(cairn("store", "stats", "--json", data=data).stdout)
    assert stats["raw_blobs"] == stats["pending"] == 0
    assert stats["stored_bytes"] < 0.95 * stats["logical_bytes"]
    assert "stored / logical" in cairn("store", "stats", data=data).stdout


def test_verify_is_green_then_red_when_a_byte_flips(data: Path) -> None:
    assert json.loads(cairn("store", "verify", "--json", data=data).stdout)["bad"] == []
    raw = next(path for path in (data / "store" / "raw").rglob("*") if path.is_file())
    content = bytearray(raw.read_bytes())
    content[1000] ^= 1
    raw.chmod(0o644)
    raw.write_bytes(content)
    found = cairn("store", "verify", data=data, expect=1)
    assert raw.name in found.stdout


def test_a_blob_that_stays_raw_waits_for_nothing(data: Path) -> None:
    house = open_house(load_settings(data_dir=data))
    house.store.put_bytes(b"{}")
    house.catalog.close()
    stats = json.loads(cairn("store", "stats", "--json", data=data).stdout)
    assert (stats["raw_blobs"], stats["pending"]) == (2, 1)
    assert cairn("store", "stats", data=data).stdout.count("waiting for optimize") == 1


def test_gc_keeps_young_blobs_and_takes_unwanted_ones(data: Path) -> None:
    kept = json.loads(cairn("store", "gc", "--json", data=data).stdout)
    assert kept["blobs"] == 0
    taken = json.loads(cairn("store", "gc", "--grace", "0", "--json", data=data).stdout)
    assert taken["blobs"] == 1
    assert json.loads(cairn("store", "stats", "--json", data=data).stdout)["blobs"] == 0


def test_a_folder_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "store").mkdir(parents=True)
    (folder / "store" / "FORMAT").write_text("something else\n")
    refused = cairn("store", "stats", data=folder, expect=8)
    assert "not a Cairn store" in refused.stderr


def test_optimize_goes_on_past_a_damaged_blob(data: Path) -> None:
    house = open_house(load_settings(data_dir=data))
    zeros = np.zeros((512, 512), dtype=np.float32)
    sound = house.store.put_bytes(save({"zeros": zeros}))
    house.catalog.close()
    raws = [path for path in (data / "store" / "raw").rglob("*") if path.is_file()]
    raw = next(path for path in raws if sound.digest.hex not in str(path))
    content = bytearray(raw.read_bytes())
    content[-1] ^= 1
    raw.write_bytes(content)
    done = json.loads(cairn("store", "optimize", "--json", data=data, expect=1).stdout)
    assert done["blobs"] == 1
    assert len(done["damaged"]) == 1
    assert raw.name in done["damaged"][0]
