"""Stores written by every released format are read, verified and worked on."""

import base64
import json
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.store import BlobStore, open_local_store
from tests.old.make_store import FIXTURE, contents


@pytest.fixture
def old(tmp_path: Path) -> tuple[BlobStore, dict[str, Digest]]:
    kept = json.loads(FIXTURE.read_text())
    for name, data in kept["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
    digests = {name: Digest.sha256(text) for name, text in kept["digests"].items()}
    return open_local_store(tmp_path), digests


def test_a_store_of_format_1_gives_back_what_was_put(
    old: tuple[BlobStore, dict[str, Digest]],
) -> None:
    store, digests = old
    assert {n: store.read_bytes(d, 1 << 20) for n, d in digests.items()} == contents()
    assert store.verify().bad == ()
    stats = store.stats()
    assert set(stats.by_codec) >= {"planes", "zstd"}
    assert stats.raw_blobs < stats.blobs == len(digests)


def test_a_store_of_format_1_can_be_collected_and_extended(
    old: tuple[BlobStore, dict[str, Digest]],
) -> None:
    store, digests = old
    model = digests["model.safetensors"]
    store.collect(lambda: [model], 0)
    assert store.stats().blobs == 1
    new = store.put_bytes(b"new").digest
    assert store.read_bytes(model, 1 << 20) == contents()["model.safetensors"]
    assert store.read_bytes(new, 10) == b"new"


def test_the_fixture_has_every_kind_of_object() -> None:
    names = json.loads(FIXTURE.read_text())["files"]
    kinds = {name.split("/")[0] + Path(name).suffix for name in names}
    assert kinds >= {"FORMAT", "raw", "recipes", "packs.pack", "packs.idx"}
