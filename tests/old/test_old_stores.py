"""Stores written by every released format are read, verified and worked on."""

import base64
import json
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.errors import UntrustedDataError
from cairn.formats import READERS, read_layout
from cairn.store import FAST, SMALL, BlobStore, open_local_store
from cairn.store.format_mark import VERSION
from tests.old.make_store import contents, fixture

VERSIONS = range(1, VERSION + 1)
every_version = pytest.mark.parametrize("version", VERSIONS)


def unpacked(version: int, folder: Path) -> tuple[BlobStore, dict[str, Digest]]:
    kept = json.loads(fixture(version).read_text())
    for name, data in kept["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
    digests = {name: Digest.sha256(text) for name, text in kept["digests"].items()}
    return open_local_store(folder), digests


def all_of(store: BlobStore, digests: dict[str, Digest]) -> dict[str, bytes]:
    return {name: store.read_bytes(digest, 1 << 20) for name, digest in digests.items()}


@every_version
def test_an_old_store_gives_back_what_was_put(version: int, tmp_path: Path) -> None:
    store, digests = unpacked(version, tmp_path)
    assert all_of(store, digests) == contents(version)
    assert store.verify().bad == ()
    stats = store.stats()
    assert set(stats.by_codec) >= {"planes", "zstd"}
    assert stats.raw_blobs < stats.blobs == len(digests)


@every_version
def test_an_old_store_can_be_collected_and_extended(version: int, tmp_path: Path) -> None:
    store, digests = unpacked(version, tmp_path)
    model = digests["model.safetensors"]
    store.collect(lambda: [model], 0)
    assert store.stats().blobs == 1
    new = store.put_bytes(b"new").digest
    assert store.read_bytes(model, 1 << 20) == contents(version)["model.safetensors"]
    assert store.read_bytes(new, 10) == b"new"


@every_version
def test_an_old_store_becomes_one_of_this_version_when_it_is_written_to(
    version: int, tmp_path: Path
) -> None:
    store, digests = unpacked(version, tmp_path)
    mark = tmp_path / "FORMAT"
    assert mark.read_text() == f"cairn-store {version}\n"
    text = b"a new vocabulary\n" * 9_000
    store.optimize(store.put_bytes(text).digest, None)
    assert mark.read_text() == f"cairn-store {VERSION}\n"
    assert all_of(open_local_store(tmp_path), digests) == contents(version)


@every_version
def test_a_pack_of_an_old_store_is_indexed_anew(version: int, tmp_path: Path) -> None:
    _, digests = unpacked(version, tmp_path)
    for index in (tmp_path / "packs").glob("*.idx"):
        index.unlink()
    assert all_of(open_local_store(tmp_path), digests) == contents(version)


@every_version
def test_the_blobs_of_an_old_store_are_made_anew(version: int, tmp_path: Path) -> None:
    store, digests = unpacked(version, tmp_path)
    for profile in (FAST, SMALL):
        for digest in digests.values():
            with store.open(digest) as source:
                try:
                    layout = read_layout(source, READERS)
                except UntrustedDataError:
                    layout = None
            store.remake(digest, layout, profile=profile)
        assert store.collect(lambda: digests.values(), 0).damaged == ()
        assert all_of(open_local_store(tmp_path), digests) == contents(version)


@every_version
def test_the_fixture_has_every_kind_of_object(version: int) -> None:
    names = json.loads(fixture(version).read_text())["files"]
    kinds = {name.split("/")[0] + Path(name).suffix for name in names}
    wanted = {"FORMAT", "raw", "recipes", "packs.pack", "packs.idx"}
    assert kinds >= wanted | ({"sketches"} if version >= 2 else set())


def test_the_second_version_has_every_way_to_derive(tmp_path: Path) -> None:
    store, _ = unpacked(2, tmp_path)
    assert set(store.stats().by_codec) >= {"same", "cast"}
