"""`cairn store add`, `get`, `ls`, `rm`: a folder as a store, without a hub."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.errors import ConflictError, IntegrityError, NamingError
from cairn.store import NamedBlob, Sample, open_local_store
from cairn.store.names import encode_name, name_key, parse_name
from cairn.workflows.folder_store import put_named
from tests.cli.command import cairn

BASE = np.random.default_rng(1).normal(0, 0.02, 200_000).astype(np.float32)
STEP = np.random.default_rng(2).normal(0, 1e-5, 200_000).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A base and a fine-tune of it, each in a folder."""
    for name, weights in (("base", BASE), ("tuned", BASE + STEP)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(save({"w": weights}))
    return tmp_path


def test_what_goes_in_comes_out_and_a_fine_tune_takes_little(files: Path) -> None:
    kept = ("--store", str(files / "kept"))
    base, tuned = str(files / "base"), str(files / "tuned")
    cairn("store", "add", base, *kept)
    added = json.loads(cairn("store", "add", tuned, "--json", *kept).stdout)
    assert added["written_bytes"] < 0.7 * added["size_bytes"]
    out = files / "out.safetensors"
    cairn("store", "get", "tuned/model.safetensors", "-o", str(out), *kept)
    assert out.read_bytes() == (files / "tuned" / "model.safetensors").read_bytes()
    cairn("store", "get", "tuned/model.safetensors", "-o", str(out), *kept, expect=4)

    listed = json.loads(cairn("store", "ls", "--json", *kept).stdout)
    assert [row["name"] for row in listed] == ["base/model.safetensors", "tuned/model.safetensors"]
    sha256 = listed[0]["sha256"]
    cairn("store", "get", sha256, "-o", str(out), "--force", *kept)
    assert out.read_bytes() == (files / "base" / "model.safetensors").read_bytes()

    told = json.loads(cairn("store", "stats", "--json", *kept).stdout)
    assert sum(row["taken_bytes"] for row in listed) == pytest.approx(
        sum(group["own_bytes"] for group in told["by_family"].values())
        + told["by_depth"]["0"]["stored_bytes"],
        rel=0.01,
    )
    assert set(told["by_family"]) == {"base", "tuned"}

    # The parent goes; the child stays whole.
    cairn("store", "rm", "base/model.safetensors", *kept)
    assert json.loads(cairn("store", "verify", "--json", *kept).stdout)["checked"] == 1


def test_errors_say_what_is_wrong(files: Path) -> None:
    kept = ("--store", str(files / "kept"))
    cairn("store", "ls", *kept, expect=3)
    assert not (files / "kept").exists()
    refused = cairn("store", "add", str(files / "base"), "--store", str(files / "tuned"), expect=2)
    assert "not a store" in refused.stderr
    one = files / "one.txt"
    one.write_text("one")
    cairn("store", "add", str(one), *kept)
    one.write_text("two")
    taken = cairn("store", "add", str(one), *kept, expect=4)
    assert "--replace" in taken.stderr
    cairn("store", "add", str(one), "--replace", *kept)
    refused = cairn("store", "rm", "one.txt", "other.txt", *kept, expect=3)
    assert "nothing was removed" in refused.stderr
    assert "one.txt" in cairn("store", "ls", *kept).stdout


def test_a_folders_commands_free_nothing_of_a_hub(files: Path) -> None:
    data = files / "data"
    house = open_house(Settings(data_dir=data))
    blob = house.store.put_bytes(b"a revision may need this")
    place = ("--store", str(data / "store"))
    refused = cairn("store", "gc", *place, expect=2)
    assert "store of a hub" in refused.stderr
    assert "--data" in refused.stderr
    for step in range(2):
        put_named(house.store, f"run/step-{step}.safetensors", lambda: [save({})], replace=False)
    cairn("store", "prune", "run", "--last", "1", *place)
    cairn("store", "rm", "run/step-1.safetensors", *place)
    assert house.store.names.list() == []
    assert house.store.read_bytes(blob.digest, 100) == b"a revision may need this"


def test_a_damaged_record_of_a_name_is_told_and_can_be_taken_away(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    for name in ("bad", "good"):
        put_named(store, name, lambda name=name: [name.encode()], replace=False)
    place = ("--store", str(tmp_path))
    key = name_key("bad")
    record = tmp_path / key
    record.write_bytes(record.read_bytes()[:-1] + b"?")
    for command in ("ls", "gc"):
        assert key in cairn("store", command, *place, expect=7).stderr
    found = cairn("store", "verify", *place, expect=1)
    assert key in found.stdout.replace("\n", "")
    assert "2 blobs, 7 B: 0 bad" in found.stdout
    told = json.loads(cairn("store", "verify", "--json", *place, expect=1).stdout)
    assert key in told["bad_names"][0]
    cairn("store", "rm", "bad", *place)
    assert "good" in cairn("store", "ls", *place).stdout


def test_named_blobs_stay_while_gcs_without_grace_run_beside(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            store.collect(lambda: (), 0.0)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for n in range(30):
            put_named(store, f"file {n}", lambda n=n: [b"%d" % n], replace=False)
    finally:
        done.set()
        sweeper.join()
    for named in store.names.list():
        assert store.read_bytes(named.blob.digest, 10) == named.name[5:].encode()
    assert len(store.names.list()) == 30


def test_a_name_is_given_once_unless_it_is_to_move(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    put_named(store, "a", lambda: [b"1"], metadata={"loss": 0.5}, replace=False)
    with pytest.raises(ConflictError, match="other bytes"):
        put_named(store, "a", lambda: [b"2"], replace=False)
    assert store.names.get("a").metadata == {"loss": 0.5}


def test_a_damaged_record_of_a_name_is_an_integrity_error(tmp_path: Path) -> None:
    blob = open_local_store(tmp_path).put_bytes(b"x")
    named = NamedBlob("run/1 é", blob, 1, {"step": 1})
    data = encode_name(named)
    assert parse_name(data) == named
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1
        with pytest.raises(IntegrityError):
            parse_name(bytes(wrong))
        with pytest.raises(IntegrityError):
            parse_name(data[:at])


@pytest.mark.parametrize("name", ["", "a\n", " a", "x" * 1025])
def test_names_that_no_listing_could_show_are_refused(name: str, tmp_path: Path) -> None:
    blob = open_local_store(tmp_path).put_bytes(b"x")
    with pytest.raises(NamingError):
        NamedBlob(name, blob, 1)


@pytest.mark.parametrize(
    "metadata", ['{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 2}', "[1]", '{"a": %s}' % ("9" * 50)]
)
def test_metadata_that_could_not_be_written_again_is_refused(metadata: str, tmp_path: Path) -> None:
    blob = open_local_store(tmp_path).put_bytes(b"x")
    whole = encode_name(NamedBlob("a", blob, 1))
    head = whole[:64] + len(metadata).to_bytes(4, "little") + bytes(4)
    body = head + b"a" + metadata.encode()
    with pytest.raises(IntegrityError, match="holds something else"):
        parse_name(body + blake3(body).digest())
    with pytest.raises(NamingError, match="not JSON"):
        encode_name(NamedBlob("a", blob, 1, {"a": 10**50}))


@pytest.mark.parametrize("added_us", [-1, 2**64 - 1])
def test_a_time_that_no_listing_could_show_is_refused(added_us: int, tmp_path: Path) -> None:
    blob = open_local_store(tmp_path).put_bytes(b"x")
    with pytest.raises(NamingError, match="year"):
        NamedBlob("a", blob, added_us)


def test_a_sample_is_drawn_again_by_its_seed_and_finds_what_it_reads(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    blobs = [put_named(store, f"{n}", lambda n=n: [b"%d" % n], replace=False) for n in range(20)]
    drawn = Sample(0.2, seed=1).of(named.blob.digest for named in blobs)
    assert len(drawn) == len(set(drawn)) == 4
    assert drawn == Sample(0.2, seed=1).of(named.blob.digest for named in reversed(blobs))
    for path in (tmp_path / "raw").rglob(drawn[0].hex):
        path.write_bytes(b"wrong")
    place = ("--store", str(tmp_path))
    found = cairn("store", "verify", "--sample", "0.2", "--seed", "1", *place, expect=1)
    assert drawn[0].hex in found.stdout
    assert "4 blobs" in found.stdout
    cairn("store", "verify", "--sample", "1.5", *place, expect=2)
