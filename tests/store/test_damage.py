"""Damaged and lost objects: never wrong or short bytes, always the name of what is broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.store import BlobStore, open_local_store
from cairn.store.backends import LocalBackend
from cairn.store.part_index import PartIndex
from tests.store.making import checkpoint, layout_of, optimized, small_pack_store, weights


def only(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def read_all(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as reader:
        return b"".join(reader.stream())


FILE = checkpoint([1, 2, 3])


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    return optimized(open_local_store(tmp_path), FILE)


def assert_named_bad(root: Path, digest: Digest, match: str) -> None:
    """Reads fail, and verify names the blob, in a process that never saw it whole."""
    with pytest.raises(IntegrityError, match=match) as caught:
        read_all(open_local_store(root), digest)
    assert digest.hex in str(caught.value)
    found = open_local_store(root).verify()
    assert [bad for bad, _ in found.bad] == [digest]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.8, 0.95])
def test_a_flipped_byte_in_a_pack_is_found(tmp_path: Path, digest: Digest, share: float) -> None:
    pack = only(tmp_path, "packs/*.pack")
    size = pack.stat().st_size
    flip(pack, 16 + int(share * (size - 64 - 16)))  # between header and trailer
    assert_named_bad(tmp_path, digest, rf"pack {pack.stem} at byte \d+")


def test_no_flipped_byte_of_a_pack_gives_wrong_bytes(tmp_path: Path) -> None:
    """Header and trailer serve only to rebuild an index; zstd frames have a few unused bits."""
    store = small_pack_store(tmp_path)
    file = b'{"a": 1}' * 20_000
    digest = store.put_bytes(file).digest
    assert store.optimize(digest, None).rewritten
    pack = only(tmp_path, "packs/*.pack")
    whole = pack.read_bytes()
    unnoticed = 0
    assert len(whole) < 2_000
    for at in range(16, len(whole) - 48):
        flip(pack, at)
        try:
            assert read_all(store, digest) == file
            unnoticed += 1
        except IntegrityError:
            pass
        pack.write_bytes(whole)
    assert unnoticed <= 5


@pytest.mark.parametrize("keep", [0, 10, 16, 1000, 100_000])
def test_a_cut_pack_is_found(tmp_path: Path, digest: Digest, keep: int) -> None:
    pack = only(tmp_path, "packs/*.pack")
    pack.write_bytes(pack.read_bytes()[:keep])
    assert_named_bad(tmp_path, digest, r"part [0-9a-f]{64}")


def test_a_lost_pack_is_found(tmp_path: Path, digest: Digest) -> None:
    only(tmp_path, "packs/*.pack").unlink()
    assert_named_bad(tmp_path, digest, "no pack holds it")


def test_a_pack_lost_while_a_reader_is_open_is_found(tmp_path: Path, digest: Digest) -> None:
    store = open_local_store(tmp_path)
    with store.open(digest) as reader:
        reader.read_at(0, 10)
        only(tmp_path, "packs/*.pack").unlink()
        with pytest.raises(IntegrityError, match="the pack is gone"):
            reader.read_at(200_000, 10)


def _delete(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip_head(path: Path) -> None:
    flip(path, 9)


def _flip_entry(path: Path) -> None:
    flip(path, 70)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("harm", [_delete, _empty, _flip_head, _flip_entry, _cut])
def test_a_damaged_or_lost_index_is_rebuilt(
    tmp_path: Path, digest: Digest, harm: Callable[[Path], None]
) -> None:
    index = only(tmp_path, "packs/*.idx")
    whole = index.read_bytes()
    harm(index)
    assert read_all(open_local_store(tmp_path), digest) == FILE
    assert index.read_bytes() == whole


def test_a_damaged_pack_without_an_index_gives_what_it_still_holds(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path, pack_bytes=10_000_000)
    digest = optimized(store, FILE)
    pack = only(tmp_path, "packs/*.pack")
    only(tmp_path, "packs/*.idx").unlink()
    pack.write_bytes(pack.read_bytes()[:-200])
    with open_local_store(tmp_path).open(digest) as reader:
        assert reader.read_at(1_000, 1_000) == FILE[1_000:2_000]
        with pytest.raises(IntegrityError):
            b"".join(reader.stream())
    assert list(tmp_path.glob("packs/*.idx")) == []  # half an index is not written


def test_a_damaged_pack_that_is_looked_at_again_is_still_known(tmp_path: Path) -> None:
    optimized(small_pack_store(tmp_path, pack_bytes=10_000_000), FILE)
    pack = only(tmp_path, "packs/*.pack")
    only(tmp_path, "packs/*.idx").unlink()
    pack.write_bytes(pack.read_bytes()[:-200])
    index = PartIndex(LocalBackend(tmp_path))
    index.refresh()
    index.refresh()
    assert index.newest_s() == pytest.approx(pack.stat().st_mtime)


@pytest.mark.parametrize("at", [0, 8, 20, 50, 70, -40, -1])
def test_a_flipped_byte_in_a_recipe_is_found(tmp_path: Path, digest: Digest, at: int) -> None:
    flip(only(tmp_path, "recipes/*/*"), at)
    assert_named_bad(tmp_path, digest, "recipe of")


def test_a_lost_recipe_is_a_lost_blob(tmp_path: Path, digest: Digest) -> None:
    only(tmp_path, "recipes/*/*").unlink()
    with pytest.raises(BlobNotFoundError):
        open_local_store(tmp_path).open(digest)


def test_verify_names_a_raw_blob_with_a_flipped_byte(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    good, bad = store.put_bytes(b"good").digest, store.put_bytes(b"damaged soon").digest
    path = store.local_path(bad)
    assert path is not None
    path.chmod(0o644)
    flip(path, 3)
    found = store.verify()
    assert (found.checked, [d for d, _ in found.bad]) == (2, [bad])
    with pytest.raises(IntegrityError, match=bad.hex):
        store.read_bytes(bad, 100)
    assert store.read_bytes(good, 100) == b"good"


def test_optimize_refuses_a_damaged_raw_blob_and_keeps_it(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(FILE).digest
    flip(only(tmp_path, "raw/*/*"), 5_000)
    with pytest.raises(IntegrityError, match=digest.hex):
        store.optimize(digest, layout_of(FILE))
    assert store.local_path(digest) is not None
    assert list(tmp_path.glob("recipes/*/*")) == []
    assert list(store.pending()) == []  # not again and again
    assert store.put_bytes(FILE).digest == digest  # the upload that heals
    assert list(store.pending()) == [digest]
    assert store.optimize(digest, layout_of(FILE)).rewritten
    assert read_all(store, digest) == FILE


def test_a_cut_raw_blob_is_replaced_by_the_next_upload(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    digest = store.put_bytes(b"0123456789").digest
    only(tmp_path, "raw/*/*").write_bytes(b"01234")
    assert [d for d, _ in store.verify().bad] == [digest]
    store.put_bytes(b"0123456789")
    assert store.read_bytes(digest, 100) == b"0123456789"
    assert store.has(digest)


def test_an_upload_heals_a_blob_found_damaged_and_all_that_share_its_parts(
    tmp_path: Path,
) -> None:
    store = open_local_store(tmp_path)
    files = [FILE, checkpoint([1, 2, 9])]
    digests = [optimized(store, file) for file in files]
    biggest = max(tmp_path.glob("packs/*.pack"), key=lambda p: p.stat().st_size)
    flip(biggest, 3_000)  # in a tensor both files share
    store = open_local_store(tmp_path)
    assert {d for d, _ in store.verify().bad} == set(digests)
    assert not store.has(digests[0])
    store.put_bytes(files[0])
    assert store.has(digests[0])
    assert read_all(store, digests[0]) == files[0]
    assert store.optimize(digests[0], layout_of(files[0])).rewritten
    assert store.local_path(digests[0]) is None
    assert [read_all(store, d) for d in digests] == files
    store.put_bytes(files[1])
    assert store.verify().bad == ()


def test_gc_leaves_packs_alone_while_a_recipe_cannot_be_read(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    digests = [optimized(store, checkpoint([n, n + 1])) for n in (1, 5)]
    packs = sorted(tmp_path.glob("packs/*.pack"))
    flip(tmp_path / f"recipes/{digests[0].hex[:2]}/{digests[0].hex}", 80)
    done = store.collect(lambda: digests, 0)
    assert [d for d, _ in done.damaged] == [digests[0]]
    assert sorted(tmp_path.glob("packs/*.pack")) == packs


def test_gc_leaves_packs_alone_while_parts_are_lost(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    digest = optimized(store, checkpoint([1, 2, 3, 4]))
    dead = optimized(store, checkpoint([7, 8]))
    sorted(tmp_path.glob("packs/*.pack"))[0].unlink()
    packs = sorted(tmp_path.glob("packs/*.pack"))
    done = small_pack_store(tmp_path).collect(lambda: [digest, dead], 0)
    assert done.damaged
    assert sorted(tmp_path.glob("packs/*.pack")) == packs


def test_a_damaged_pack_is_not_rewritten_by_gc(tmp_path: Path) -> None:
    store = open_local_store(tmp_path)
    one = optimized(store, checkpoint([1, 2, 3]))
    pack = only(tmp_path, "packs/*.pack")
    flip(pack, 2_000)  # in tensor 1, which `two` needs
    two = checkpoint([1])
    with pytest.raises(IntegrityError):
        read_all(store, one)
    digest = store.put_bytes(two).digest
    store.optimize(digest, layout_of(two))  # writes tensor 1 anew, whole
    store.collect(lambda: [digest], 0)
    assert read_all(store, digest) == two


def test_stats_survive_damage(tmp_path: Path, digest: Digest) -> None:
    flip(only(tmp_path, "recipes/*/*"), 3)
    stats = open_local_store(tmp_path).stats()
    assert stats.blobs == 1
    assert stats.logical_bytes == 0
    assert open_local_store(tmp_path).stored_bytes([digest]) > 0


def test_parts_of_a_codec_that_is_not_installed_are_an_integrity_error(tmp_path: Path) -> None:
    from cairn.plugins import Registry
    from cairn.store.codecs import RawCodec, ZstdCodec

    digest = optimized(open_local_store(tmp_path), checkpoint([1]))
    poorer = open_local_store(tmp_path, Registry("codec", [ZstdCodec(), RawCodec()]))
    with pytest.raises(IntegrityError, match="no codec named 'planes'"):
        read_all(poorer, digest)


def test_a_part_whose_digest_starts_like_another_is_told_apart(tmp_path: Path) -> None:
    """Eight equal first bytes can be made on purpose; the index must not mix parts up."""
    from blake3 import blake3

    from cairn.store.backends import LocalBackend
    from cairn.store.codecs import CODECS
    from cairn.store.packs import Encoded
    from cairn.store.parts import PartStore
    from cairn.store.recipes import Part

    data = weights(1, 5_000)
    digest = blake3(data).digest()
    alike = digest[:8] + bytes(24)
    parts = PartStore(LocalBackend(tmp_path), CODECS)
    with parts.packing() as packing:
        packing.add(Encoded(alike, len(data), "raw", None, b"x" * len(data)))
        packing.add(Encoded(digest, len(data), "raw", None, data))
        packing.seal()
    assert parts.read(Part(digest, len(data))) == data
    assert parts.lasting(Part(digest, len(data)))
    assert not parts.lasting(Part(digest[:8] + b"\1" * 24, len(data)))
    with pytest.raises(IntegrityError):
        parts.read(Part(alike, len(data)))
