"""Tensors cut out of others or put together from them: shards, fused and stacked matrices."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import Digest
from cairn.errors import IntegrityError
from cairn.store import BlobStore, open_local_store
from cairn.store.keys import sketch_key
from cairn.store.landmarks import MIN_REMEMBERED
from cairn.store.profiles import FAST, SMALL
from cairn.store.sketches import load_sketches, parse_sketches
from tests.store.making import layout_of, shaped_safetensors
from tests.store.test_derived import halves, keep, read, records, trained

ROWS, COLUMNS = 192, 256
OTHER = 0.15  # of a file's bytes: records, sketches and recipes of small files


def matrix(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, columns)).astype("<f4")


def file_of(*matrices: np.ndarray) -> bytes:
    """A file of matrices; those of two bytes an element are bfloat16."""
    labels = {4: "F32", 2: "BF16"}
    return shaped_safetensors(
        {f"w{n}": (labels[m.itemsize], m.shape, m.tobytes()) for n, m in enumerate(matrices)}
    )


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


def check_made_of(store: BlobStore, before: list[bytes], after: list[bytes]) -> None:
    """Files are kept in almost nothing beside those from which they can be made."""
    for file in before:
        keep(store, file)
    taken = store.stats().stored_bytes
    digests = [keep(store, file) for file in after]
    assert store.stats().stored_bytes - taken < OTHER * sum(map(len, after))
    assert [read(store, digest) for digest in digests] == after
    assert store.verify().bad == ()


QUERY, KEY, VALUE = matrix(1), matrix(2, ROWS // 2), matrix(3, ROWS // 2)
WHOLE = matrix(4, 600, 512)
CUTS = {
    "rows": [np.split(WHOLE, 4, 0)],
    "columns": [np.split(WHOLE, 4, 1)],
    "uneven columns": [np.split(WHOLE, [64, 200, 300], 1)],
    "uneven rows": [np.split(WHOLE, [100, 333], 0)],
}


@pytest.mark.parametrize("cut", CUTS)
def test_shards_are_kept_as_cuts_of_the_whole(store: BlobStore, cut: str) -> None:
    (shards,) = CUTS[cut]
    check_made_of(store, [file_of(WHOLE)], [file_of(shard.copy()) for shard in shards])


@pytest.mark.parametrize("cut", CUTS)
def test_a_whole_is_kept_as_its_shards_put_together(store: BlobStore, cut: str) -> None:
    (shards,) = CUTS[cut]
    check_made_of(store, [file_of(*(shard.copy() for shard in shards))], [file_of(WHOLE)])


@pytest.mark.parametrize("axis", [0, 1])
def test_shards_of_another_number_are_kept_as_cuts_of_those(store: BlobStore, axis: int) -> None:
    four, three = (
        [file_of(shard.copy()) for shard in np.array_split(WHOLE, n, axis)] for n in (4, 3)
    )
    check_made_of(store, four, three)


def test_a_fused_projection_is_kept_as_its_three_and_they_as_it(tmp_path: Path) -> None:
    apart, fused = file_of(QUERY, KEY, VALUE), file_of(np.concatenate([QUERY, KEY, VALUE]))
    check_made_of(open_local_store(tmp_path / "one"), [apart], [fused])
    check_made_of(open_local_store(tmp_path / "other"), [fused], [apart])


def test_layers_and_their_stack_and_a_flat_buffer_are_kept_once(store: BlobStore) -> None:
    layers = [matrix(seed) for seed in range(10, 16)]
    flat = np.concatenate([layer.ravel() for layer in layers])
    check_made_of(store, [file_of(*layers)], [file_of(np.stack(layers)), file_of(flat)])


def test_an_embedding_that_got_more_rows_takes_those_rows(store: BlobStore) -> None:
    old = matrix(1, 1_000)
    check_made_of(store, [file_of(old)], [file_of(np.concatenate([old, matrix(2, 40)]))])


def test_rows_taken_out_of_the_middle_leave_two_runs(store: BlobStore) -> None:
    old = matrix(1, 1_000)
    check_made_of(store, [file_of(old)], [file_of(np.delete(old, slice(400, 450), 0))])


def test_columns_of_tensors_of_many_parts_are_found_in_each(store: BlobStore) -> None:
    whole = matrix(5, 1_500, 2_048)  # three parts
    left, right = (half.copy() for half in np.split(whole, 2, 1))
    check_made_of(store, [file_of(whole)], [file_of(left), file_of(right)])
    digest = store.put_bytes(file_of(left)).digest
    with store.open(digest) as reader:
        assert reader.read_at(4_100_000, 200_000) == file_of(left)[4_100_000:4_300_000]


def test_bfloat16_is_cut_as_float32_is(store: BlobStore) -> None:
    whole = np.frombuffer(halves(WHOLE.ravel()), "<u2").reshape(WHOLE.shape)
    check_made_of(store, [file_of(whole)], [file_of(*(s.copy() for s in np.split(whole, 2, 1)))])


def test_a_whole_and_its_shards_in_one_file_are_kept_once(store: BlobStore) -> None:
    keep(store, file_of(WHOLE))
    once = store.stats().stored_bytes
    fresh = matrix(9, *WHOLE.shape)
    both = file_of(fresh, *(shard.copy() for shard in np.split(fresh, 2, 1)))
    digest = keep(store, both)
    assert store.stats().stored_bytes < 2.1 * once
    assert read(store, digest) == both


def test_exact_shards_are_preferred_to_a_near_whole(store: BlobStore, tmp_path: Path) -> None:
    keep(store, file_of(WHOLE))
    tuned = trained(WHOLE.ravel(), 1).reshape(WHOLE.shape)
    keep(store, file_of(*(shard.copy() for shard in np.split(tuned, 2, 0))))
    before = store.stats().stored_bytes
    assert read(store, keep(store, file_of(tuned))) == file_of(tuned)
    assert store.stats().stored_bytes - before < 0.02 * WHOLE.nbytes
    assert records(tmp_path)[-1][0] == "same"


def test_the_fast_profile_cuts_out_halves_but_not_small_columns(
    store: BlobStore, tmp_path: Path
) -> None:
    keep(store, file_of(WHOLE))
    for shards in (2, 8):
        file = file_of(np.split(WHOLE, shards, 1)[0].copy())
        digest = store.put_bytes(file).digest
        store.optimize(digest, layout_of(file), profile=FAST)
        assert read(store, digest) == file
    made = [codec for codec, _ in records(tmp_path) if codec in ("planes", "columns")]
    assert made == ["planes", "columns", "planes"]


def test_tensors_that_share_scattered_words_are_not_pieced_together(
    store: BlobStore, tmp_path: Path
) -> None:
    keep(store, file_of(WHOLE))
    scattered = matrix(7, *WHOLE.shape)
    scattered[::2] = WHOLE[::-2]  # every second row, backwards
    digest = keep(store, file_of(scattered))
    assert read(store, digest) == file_of(scattered)
    assert {codec for codec, _ in records(tmp_path)} == {"planes", "raw"}


def test_a_whole_outlives_the_file_that_it_was_cut_from(store: BlobStore, tmp_path: Path) -> None:
    parent = keep(store, file_of(WHOLE))
    shards = [file_of(shard.copy()) for shard in np.split(WHOLE, 4, 1)]
    digests = [keep(store, shard) for shard in shards]
    for _ in range(3):
        store.collect(lambda: digests, 0)
    assert not store.has(parent)
    fresh = open_local_store(tmp_path)
    assert [read(fresh, digest) for digest in digests] == shards


def test_pieces_that_are_remade_in_another_profile_are_whole(
    store: BlobStore, tmp_path: Path
) -> None:
    keep(store, file_of(WHOLE))
    shards = [file_of(shard.copy()) for shard in np.split(WHOLE, 8, 1)]
    digests = [keep(store, shard) for shard in shards]
    for profile in (FAST, SMALL):
        for digest, file in zip(digests, shards, strict=True):
            store.remake(digest, layout_of(file), profile=profile)
        store.collect(lambda: digests, 0)
        fresh = open_local_store(tmp_path)
        assert [read(fresh, digest) for digest in digests] == shards
    assert store.verify().bad == ()


def test_sketches_of_version_1_have_no_landmarks_and_damaged_ones_are_refused(
    store: BlobStore, tmp_path: Path
) -> None:
    digest = keep(store, file_of(QUERY))
    data = (tmp_path / sketch_key(digest)).read_bytes()
    (sketch,) = parse_sketches(data, digest)
    assert len(sketch.landmarks.hashes) == MIN_REMEMBERED
    assert sketch.columns == COLUMNS
    one = version_1(data)
    (old,) = parse_sketches(one, digest)
    assert (old.span, old.dtype, old.columns) == (sketch.span, sketch.dtype, 0)
    assert np.array_equal(old.values, sketch.values)
    for wrong in (with_check(data[: -32 - 12]), with_check(data[:-32] + bytes(12)), data[:100]):
        with pytest.raises(IntegrityError):
            parse_sketches(wrong, digest)
    (tmp_path / sketch_key(digest)).write_bytes(one)
    assert load_sketches(store._backend, digest)[0].columns == 0


def with_check(body: bytes) -> bytes:
    from blake3 import blake3

    return body + blake3(body).digest()


def version_1(data: bytes) -> bytes:
    """The same sketch of one tensor, as the first version had it."""
    return with_check(data[:8] + b"\1\0\0\0" + data[12 : 56 + 296])


@given(
    rows=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    columns=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    again=st.lists(st.integers(1, 200), max_size=3),
    seed=st.integers(0, 1000),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
def test_whatever_is_cut_and_joined_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[int],
    columns: list[int],
    again: list[int],
    seed: int,
) -> None:
    """Blocks of a matrix in one file, then the matrix, then other cuts of it."""
    store = open_local_store(tmp_path_factory.mktemp("store"))
    at_rows = np.cumsum([0, *rows]) * 4
    at_columns = np.cumsum([0, *columns]) * 8
    whole = matrix(seed, int(at_rows[-1]), int(at_columns[-1]))
    blocks = [whole[a:b, c:d].copy() for a, b in pairwise(at_rows) for c, d in pairwise(at_columns)]
    cuts = sorted(cut for cut in set(again) if cut < whole.shape[1])
    filler = matrix(seed + 1)  # smaller files stay raw
    files = [file_of(*group, filler) for group in (blocks, [whole], np.split(whole, cuts, 1))]
    digests: list[Digest] = [keep(store, file) for file in files]
    assert [read(store, digest) for digest in digests] == files
    assert store.verify().bad == ()


@pytest.mark.parametrize("axis", [0, 1])
def test_shards_of_a_late_step_are_exact_cuts_of_that_step(
    store: BlobStore, tmp_path: Path, axis: int
) -> None:
    """They may lie one level deeper than steps do."""
    step = WHOLE
    for number in range(SMALL.max_chain):
        keep(store, file_of(step))
        step = trained(step.ravel(), number).reshape(WHOLE.shape)
    late = np.frombuffer(file_of(step)[-step.nbytes :], "<f4").reshape(WHOLE.shape)
    deep = keep(store, file_of(late))
    before = store.stats().stored_bytes
    shards = [file_of(shard.copy()) for shard in np.split(late, 2, axis)]
    digests = [keep(store, shard) for shard in shards]
    assert [read(store, digest) for digest in [deep, *digests]] == [file_of(late), *shards]
    assert max(depth for _, depth in records(tmp_path)) <= SMALL.max_chain + 1
    assert store.stats().stored_bytes - before < OTHER * late.nbytes
