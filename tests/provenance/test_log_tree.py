"""The tree is RFC 6962's, its tiles are C2SP's, and a proof shows what it shows and no more."""

import pytest

from cairn.errors import EntryNotFoundError, IntegrityError, LimitError, MalformedError
from cairn.provenance.log import (
    Tile,
    check_consistency,
    check_inclusion,
    consistency_proof,
    entry_tiles,
    hash_tiles,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    pack_entries,
    root_hash,
    unpack_entries,
)
from tests.provenance.log_trees import Grown, defined_root, entries_of, log_of

# The tree of Certificate Transparency's own tests: leaves, and the roots of 1 to 8 of them.
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
KNOWN_LEAVES += ["606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_the_roots_are_those_of_certificate_transparency() -> None:
    log = log_of([bytes.fromhex(leaf) for leaf in KNOWN_LEAVES])
    found = [root_hash(size, log.tree(size).node).hex() for size in range(1, 9)]
    assert found == KNOWN_ROOTS


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 1000])
def test_the_root_is_what_the_definition_says_at_every_size_around_a_tile(size: int) -> None:
    entries = entries_of(size)
    assert root_hash(size, log_of(entries).tree().node) == defined_root(entries)


def test_the_root_of_three_levels_of_tiles_is_what_the_definition_says() -> None:
    entries = entries_of(65_536 + 300)
    log = log_of(entries)
    assert {level for level, _ in log.tiles} == {0, 1, 2}
    assert root_hash(log.size, log.tree().node) == defined_root(entries)


def test_batches_of_any_size_make_the_same_tiles() -> None:
    entries = entries_of(700)
    batches = Grown()
    at = 0
    for size in (0, 1, 1, 253, 1, 1, 255, 188):
        batches.add(entries[at : at + size])
        at += size
    assert (at, batches.tiles) == (700, log_of(entries).tiles)


def test_every_inclusion_proof_of_a_small_tree_holds_and_no_other_place_does() -> None:
    entries = entries_of(40)
    log = log_of(entries)
    for size in range(1, 41):
        tree = log.tree(size)
        root = root_hash(size, tree.node)
        for index in range(size):
            leaf, proof = leaf_hash(entries[index]), inclusion_proof(index, size, tree.node)
            check_inclusion(leaf, index, size, root, proof)
            for wrong in ((leaf_hash(b"x"), index, size), (leaf, index ^ 1, size)):
                if size > 1:
                    with pytest.raises(IntegrityError):
                        check_inclusion(*wrong, root, proof)
            for changed in (proof[:-1], [*proof, root], [*proof[:-1], bytes(32)]):
                if proof or len(changed) == 1:
                    with pytest.raises(IntegrityError):
                        check_inclusion(leaf, index, size, root, changed)


def test_every_consistency_proof_of_a_small_tree_holds_and_none_for_another_past() -> None:
    log, other = log_of(entries_of(40)), log_of(entries_of(40, " forged"))
    roots = [root_hash(size, log.tree(size).node) for size in range(41)]
    for new in range(41):
        tree = log.tree(new)
        for old in range(new + 1):
            proof = consistency_proof(old, new, tree.node)
            check_consistency(old, roots[old], new, roots[new], proof)
            if old:
                forged = root_hash(old, other.tree(old).node)
                with pytest.raises(IntegrityError, match="rewritten"):
                    check_consistency(old, forged, new, roots[new], proof)
            for changed in (proof[:-1], [*proof, roots[new]]):
                if changed != proof:
                    with pytest.raises(IntegrityError, match="rewritten"):
                        check_consistency(old, roots[old], new, roots[new], changed)


def test_a_shorter_log_was_cut_whatever_its_proof() -> None:
    log = log_of(entries_of(9))
    roots = [root_hash(size, log.tree(size).node) for size in (8, 9)]
    with pytest.raises(IntegrityError, match="had 9 entries and now has 8: it was cut"):
        check_consistency(9, roots[1], 8, roots[0], [])


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(3, 1_234_067), "tile/3/x001/x234/067"),
        (Tile(0, 1000, 7), "tile/0/x001/000.p/7"),
        (Tile(None, 999, 255), "tile/entries/999.p/255"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    assert (tile.path, Tile.at(path)) == (path, tile)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/0/x000/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/../000",
        "tile/entries/x0001/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_a_path_of_another_form_is_no_tile(path: str) -> None:
    with pytest.raises(EntryNotFoundError):
        Tile.at(path)


def test_seventy_thousand_entries_have_the_tiles_of_the_specifications_example() -> None:
    tiles = list(hash_tiles(70_000))
    partial = [(tile.level, tile.width) for tile in tiles if not tile.is_full]
    assert sum(tile.is_full and tile.level == 0 for tile in tiles) == 273
    assert partial == [(0, 112), (1, 17), (2, 1)]
    assert [tile.level for tile in tiles if tile.is_full][-1] == 1
    assert len(list(entry_tiles(70_000))) == 274


def test_a_bundle_gives_its_entries_back_and_hashes_to_its_tile() -> None:
    entries = [b"", b"a", bytes(65_535)]
    assert unpack_entries(pack_entries(entries)) == entries
    assert leaf_hashes(entries) == b"".join(map(leaf_hash, entries))


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x05abc", b"\x00\x01ab", b"\x00\x00" * 257])
def test_a_bundle_that_is_cut_or_has_more_is_refused(bundle: bytes) -> None:
    with pytest.raises(MalformedError, match="bundle"):
        unpack_entries(bundle)


def test_an_entry_too_long_for_its_length_field_is_refused() -> None:
    with pytest.raises(LimitError, match="65536 bytes"):
        pack_entries([bytes(65_536)])


def test_a_tile_shorter_than_its_width_is_refused() -> None:
    log = log_of(entries_of(5))
    log.tiles[0, 0] = log.tiles[0, 0][:-1]
    with pytest.raises(MalformedError, match=r"tile/0/000\.p/5"):
        root_hash(5, log.tree().node)
