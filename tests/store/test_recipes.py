"""Cutting and recipes: any layout is covered exactly, damage is noticed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import Blob, Digest, DType, Layout, Span, Storage
from cairn.errors import IntegrityError
from cairn.store.cutting import MAX_PART_BYTES, MIN_PART_BYTES, cut, part_bytes
from cairn.store.recipes import Part, Recipe, Slice, blob_of_head, parse_recipe

DIGEST = Digest.sha256("ab" * 32)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Storages of very different sizes with gaps between them."""
    at, storages = 0, []
    sizes = st.sampled_from([0, 1, 100, MIN_PART_BYTES, MAX_PART_BYTES, MAX_PART_BYTES * 3 + 8])
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([0, 1, 64, 5_000, MAX_PART_BYTES + 3]))
        size = draw(sizes) + draw(st.integers(0, 9))
        storages.append(Storage(Span(at, at + size), draw(st.sampled_from(DType))))
        at += size
    return Layout("made", at + draw(st.integers(0, 9_000)), (), tuple(storages))


@given(layout=layouts())
def test_pieces_cover_the_file_without_gaps(layout: Layout) -> None:
    at = 0
    for piece in cut(layout.size_bytes, layout):
        assert piece.span.start == at
        assert 0 < piece.span.size_bytes <= MAX_PART_BYTES
        at = piece.span.stop
    assert at == layout.size_bytes


@given(layout=layouts())
def test_storages_are_cut_from_their_own_start_at_their_own_type(layout: Layout) -> None:
    pieces = {p.span.start: p for p in cut(layout.size_bytes, layout) if not p.glue}
    for storage in layout.storages:
        if storage.span.size_bytes < MIN_PART_BYTES:
            continue
        for start in range(storage.span.start, storage.span.stop, part_bytes(storage.dtype)):
            assert pieces.pop(start).dtype is storage.dtype
    assert not pieces


@given(size=st.integers(0, 20 * MAX_PART_BYTES))
def test_files_without_a_layout_are_cut_in_fixed_steps(size: int) -> None:
    spans = [piece.span for piece in cut(size, None)]
    assert [s.start for s in spans] == list(range(0, size, MAX_PART_BYTES))
    assert sum(s.size_bytes for s in spans) == size


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    sizes = draw(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
    parts = [Part(bytes([n]) * 32, size) for n, size in enumerate(sizes)]
    slices = []
    for _ in range(draw(st.integers(0, 30))):
        number = draw(st.integers(0, len(parts) - 1))
        start = draw(st.integers(0, sizes[number] - 1))
        slices.append(Slice(number, start, draw(st.integers(start + 1, sizes[number]))))
    total = sum(s.stop - s.start for s in slices)
    return Recipe.of(Blob(DIGEST, total), parts, slices)


def expanded(recipe: Recipe) -> list[tuple[int, int]]:
    """Every byte of the blob as (part, offset)."""
    slices = recipe.slices(0, recipe.blob.size_bytes)
    return [(s.part, at) for s in slices for at in range(s.start, s.stop)]


@given(recipe=recipes(), data=st.data())
def test_a_range_takes_the_bytes_the_whole_has_there(recipe: Recipe, data: st.DataObject) -> None:
    whole = expanded(recipe)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole) + 5))
    part = [(s.part, at) for s in recipe.slices(start, stop) for at in range(s.start, s.stop)]
    assert part == whole[start:stop]


@given(recipe=recipes())
def test_a_recipe_comes_back_from_its_bytes(recipe: Recipe) -> None:
    again = parse_recipe(recipe.encode(), DIGEST)
    assert again.blob == recipe.blob == blob_of_head(recipe.encode(), DIGEST)
    assert list(again.parts()) == list(recipe.parts())
    assert expanded(again) == expanded(recipe)


@given(recipe=recipes(), data=st.data())
@settings(max_examples=200)
def test_any_damage_to_a_recipe_is_an_integrity_error(recipe: Recipe, data: st.DataObject) -> None:
    damaged = bytearray(recipe.encode())
    at = data.draw(st.integers(0, len(damaged) - 1))
    if data.draw(st.booleans()):
        damaged[at] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[at:]
    with pytest.raises(IntegrityError, match="recipe"):
        parse_recipe(bytes(damaged), DIGEST)


def test_a_recipe_of_another_blob_is_refused() -> None:
    recipe = Recipe.of(Blob(DIGEST, 0), [], [])
    with pytest.raises(IntegrityError, match="another blob"):
        parse_recipe(recipe.encode(), Digest.sha256("cd" * 32))


@pytest.mark.parametrize(
    ("slices", "size"),
    [
        ([Slice(1, 0, 5)], 5),  # no such part
        ([Slice(0, 6, 12)], 6),  # past the part
        ([Slice(0, 5, 5)], 0),  # empty
        ([Slice(0, 0, 5)], 6),  # makes too little
    ],
)
def test_a_recipe_that_contradicts_itself_cannot_exist(slices: list[Slice], size: int) -> None:
    with pytest.raises(IntegrityError):
        Recipe.of(Blob(DIGEST, size), [Part(b"x" * 32, 10)], slices)


def test_a_newer_recipe_asks_for_an_update() -> None:
    data = bytearray(Recipe.of(Blob(DIGEST, 0), [], []).encode())
    data[8] = 2
    with pytest.raises(IntegrityError, match="update Cairn"):
        parse_recipe(bytes(data), DIGEST)
