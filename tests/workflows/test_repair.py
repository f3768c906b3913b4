"""Repair: damaged and lost blobs come back from wherever they are whole; the rest is named."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from cairn.domain import Digest
from cairn.errors import EntryNotFoundError, RequestError, UntrustedDataError
from cairn.store.pack_index import parse_index
from cairn.workflows.folder_store import add_file, named_files, open_folder
from cairn.workflows.house import House
from cairn.workflows.origins import local_origin
from cairn.workflows.repair import OWN, Origin, Repaired, repair, suspects_in, suspects_of
from tests.store import families
from tests.store.family_files import export
from tests.store.making import checkpoint, weights
from tests.store.victims import Victims
from tests.workflows.test_inspect_repo import REPO, house

__all__ = ["house"]


def flip(path: Path, share: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(data)


def flip_packs(root: Path, share: float = 0.5) -> None:
    for pack in root.glob("packs/*.pack"):
        flip(pack, share)


def flip_part(root: Path, plain: bytes) -> None:
    """Harm every record of the part with these bytes, where the exponents of its floats are."""
    digest = blake3(plain).digest()
    for pack in root.glob("packs/*.pack"):
        for entry in parse_index(pack.with_suffix(".idx").read_bytes()).entries:
            if entry["digest"].tobytes() == digest:
                flip(pack, (int(entry["offset"] + entry["stored"]) - 1_000) / pack.stat().st_size)


def kept(root: Path, files: dict[str, bytes]) -> Path:
    """A store with these files, each under its name; the files lie in `<root>-files`."""
    folder = Path(f"{root}-files")
    folder.mkdir()
    store = open_folder(root, create=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        for full, file in named_files([folder / name]).items():
            add_file(store, full, file, replace=False, progress=lambda _: None)
    return root


def repaired(root: Path, *origins: Path, verify: bool = True) -> Repaired:
    """Verify a folder's store as a process would that never saw it whole, and repair it."""
    folder = open_folder(root)
    bad = folder.store.verify().bad if verify else ()
    places = [local_origin(origin, root) for origin in origins]
    return repair(folder, suspects_in(folder.store, bad), places, lambda _: None)


def assert_whole(root: Path, files: dict[str, bytes]) -> None:
    folder = open_folder(root)
    assert folder.store.verify().bad == ()
    for name, data in files.items():
        blob = folder.store.names.get(name).blob
        assert folder.store.has(blob.digest)
        assert folder.store.read_bytes(blob.digest, 1 << 30) == data


FAMILY = {f"{n}.safetensors": families.member(n) for n in (0, 1, 5, 8)}
SERIES = {f"{n}.safetensors": families.member(n) for n in (0, 1, 5)}  # 0 is the others' base
SHARING = {"one": checkpoint([1, 2, 3]), "two": checkpoint([1, 2, 9])}


@pytest.mark.parametrize("kind", ["store", "data directory", "files", "family file"])
def test_damaged_blobs_are_healed_from_another_copy(tmp_path: Path, kind: str) -> None:
    root = kept(tmp_path / "kept", FAMILY)
    other = tmp_path / "other"
    if kind == "family file":
        store = open_folder(root).store
        export(store, [named.blob.digest for named in store.names.list()], other)
    elif kind == "files":
        other = tmp_path / "kept-files"
    else:
        shutil.copytree(root, other / "store" if kind == "data directory" else other)
    flip_packs(root, 0.2)
    done = repaired(root, other)
    assert done.lost == ()
    assert done.healed
    assert {one.origin for one in done.healed} <= {str(other), OWN}
    assert_whole(root, FAMILY)
    assert repaired(root, other).healed == ()


def test_what_has_no_copy_is_healed_by_a_blob_that_shares_its_damaged_parts(
    tmp_path: Path,
) -> None:
    root = kept(tmp_path / "kept", SHARING)
    biggest = max(root.glob("packs/*.pack"), key=lambda p: p.stat().st_size)
    flip(biggest, 0.1)  # in a tensor both files share
    (tmp_path / "kept-files" / "one").unlink()
    done = repaired(root, tmp_path / "kept-files")
    assert done.lost == ()
    assert {one.damage.names: one.origin for one in done.healed} == {
        ("one",): OWN,
        ("two",): str(tmp_path / "kept-files"),
    }
    assert_whole(root, SHARING)


def test_only_damaged_parts_are_written_anew(tmp_path: Path) -> None:
    root = kept(tmp_path / "kept", {"many": checkpoint(range(20))})
    before = open_folder(root).store.stats().stored_bytes
    flip_packs(root, 0.1)
    assert repaired(root, tmp_path / "kept-files").lost == ()
    assert open_folder(root).store.stats().stored_bytes < 1.2 * before


def test_a_waiting_raw_blob_brings_back_what_others_lost(tmp_path: Path) -> None:
    root = kept(tmp_path / "kept", {"one": SHARING["one"]})
    flip_packs(root, 0.1)
    store = open_folder(root).store
    assert len(store.verify().bad) == 1
    store.put_bytes(checkpoint([1, 2, 3, 4]))
    done = repaired(root)
    assert [one.origin for one in done.healed] == [OWN]
    assert_whole(root, {"one": SHARING["one"]})


def test_a_damaged_base_that_no_blob_names_is_damage_of_all_that_is_made_from_it(
    tmp_path: Path,
) -> None:
    root = kept(tmp_path / "kept", SERIES)
    store = open_folder(root).store
    store.names.remove("0.safetensors")
    store.collect(lambda: (), 0)
    flip_part(root, SERIES["0.safetensors"][-4 * families.ELEMENTS :])
    left = {name: data for name, data in SERIES.items() if name != "0.safetensors"}
    lost = repaired(root).lost
    assert {damage.names[0] for damage in lost} == set(left)
    assert repaired(root, tmp_path / "kept-files").lost == ()
    assert_whole(root, left)


def test_a_lost_blob_is_named_with_what_every_place_answered(tmp_path: Path) -> None:
    root = kept(tmp_path / "kept", {"model": SHARING["one"], "other": b"x" * 100})
    for path in root.rglob("*"):
        if path.parent.parent.name in ("recipes", "raw"):
            path.unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "alike").write_bytes(b"y" * len(SHARING["one"]))
    empty = tmp_path / "empty"
    open_folder(empty, create=True)
    done = repaired(root, other, empty, verify=False)
    assert [damage.names for damage in done.lost] == [("model",), ("other",)] or [
        damage.names for damage in done.lost
    ] == [("other",), ("model",)]
    for damage in done.lost:
        assert "needs this blob and the store does not have it" in damage.reason
        assert "no file in it has these bytes" in damage.tried[0]
        assert str(empty) in damage.tried[1]


def test_a_hub_names_repo_revision_and_path_and_takes_them_from_a_backup(
    house: House, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(data, tmp_path / "backup")
    wanted = house.catalog.history.manifest(_head_tree(house)).entries["model.safetensors"].blob
    next((data / "store" / "raw").rglob(wanted.digest.hex)).unlink()
    (damage,) = repair(house, suspects_of(house), [], lambda _: None).lost
    assert [place.path for place in damage.locations] == ["model.safetensors"]
    assert damage.size_bytes == wanted.size_bytes
    backup = local_origin(tmp_path / "backup", data / "store")
    (healed,) = repair(house, suspects_of(house), [backup], lambda _: None).healed
    assert healed.damage.digest == wanted.digest
    with house.store.open(wanted.digest) as reader:
        assert b"".join(reader.stream()) == _file_of(tmp_path / "backup", wanted.digest)
    assert suspects_of(house) == []


def _head_tree(house: House) -> str:
    repo = house.catalog.repos.get(REPO)
    return house.catalog.history.resolve(repo.uid, "main").tree


def _file_of(data: Path, digest: Digest) -> bytes:
    return next((data / "store" / "raw").rglob(digest.hex)).read_bytes()


class _Forged(Origin):
    """A place that says it has everything."""

    name = "forged"

    def copies(self, damage: object) -> Iterator[Iterator[bytes]]:
        yield iter([b"something", b"else"])
        yield iter([SHARING["one"]])


def test_what_a_place_sends_is_kept_only_if_its_digest_is_right(tmp_path: Path) -> None:
    root = kept(tmp_path / "kept", SHARING)
    for recipe in root.glob("recipes/*/*"):
        flip(recipe)
    folder = open_folder(root)
    counted: list[int] = []
    done = repair(
        folder, suspects_in(folder.store, folder.store.verify().bad), [_Forged()], counted.append
    )
    assert [one.damage.names for one in done.healed] == [("one",)]
    (lost,) = done.lost
    assert "received 13 bytes" in lost.tried[0]
    assert sum(counted) == len(SHARING["one"])


def test_of_two_forms_the_whole_one_stays(tmp_path: Path) -> None:
    """A kill between writing the recipe and removing the raw object, then a flipped bit."""
    file = SHARING["one"]
    for harmed in ("raw", "recipes"):
        root = kept(tmp_path / harmed, {"one": file})
        digest = open_folder(root).store.names.get("one").blob.digest
        raw = root / "raw" / digest.hex[:2] / digest.hex
        raw.parent.mkdir(parents=True, exist_ok=True)
        raw.write_bytes(file)
        flip(root / harmed / digest.hex[:2] / digest.hex)
        done = repaired(root, verify=False)  # two forms are suspicious by themselves
        assert [one.origin for one in done.healed] == [OWN]
        assert not raw.exists()
        assert_whole(root, {"one": file})


def test_places_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    root = kept(tmp_path / "kept", {"one": weights(1, 20_000)})
    with pytest.raises(RequestError, match="is the store to repair"):
        local_origin(root, root)
    with pytest.raises(EntryNotFoundError, match="no such file or folder"):
        local_origin(tmp_path / "nowhere", root)
    (tmp_path / "file").write_bytes(b"something")
    with pytest.raises(UntrustedDataError, match="file"):
        local_origin(tmp_path / "file", root)


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_before_any_change_to_the_disk_leaves_work_for_the_next_repair(
    tmp_path: Path, step: int
) -> None:
    prepared = kept(tmp_path / "prepared", SHARING)
    flip_packs(prepared, 0.1)
    assert len(open_folder(prepared).store.verify().bad) == 2
    backup = str(tmp_path / "prepared-files")
    server = Victims("--warm")
    number, killed = 1 - step, True
    try:
        while killed:
            number += step
            root = tmp_path / f"repair-{number}"
            shutil.copytree(prepared, root)
            server.start("repair", root, origin=backup, die_before=number)
            killed = server.killed()
            assert_sound_or_named(root)
            server.start("repair", root, origin=backup)
            assert not server.killed()
            assert_whole(root, SHARING)
            shutil.rmtree(root)
    finally:
        server.close()
    assert number > 50, "the victims were not killed where it matters"


def assert_sound_or_named(root: Path) -> None:
    """What reads, reads right; what does not is still known to be damaged."""
    folder = open_folder(root)
    for name, data in SHARING.items():
        digest = folder.store.names.get(name).blob.digest
        if folder.store.has(digest):
            assert folder.store.read_bytes(digest, 1 << 30) == data
        else:
            assert digest in set(folder.store.suspects())
