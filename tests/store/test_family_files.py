"""Family files: what goes out comes in, and nothing that a stranger wrote is believed."""

import hashlib
import json
import random
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cairn.domain import Blob, Digest
from cairn.errors import (
    BlobNotFoundError,
    IntegrityError,
    LimitError,
    MalformedError,
    UnknownFormatError,
    UntrustedDataError,
)
from cairn.store import BlobStore, FamilyContents, FamilyFile, open_local_store
from cairn.store.bases import Base, encode_bases
from cairn.store.chains import depths_of
from cairn.store.codecs import CODECS
from cairn.store.decoding import encode_body
from cairn.store.family_file import FamilyWriter
from cairn.store.keys import RECIPES, raw_key, recipe_key
from cairn.store.packs import Encoded
from cairn.store.parts import PartStore
from cairn.store.recipes import Part, Recipe, Slice
from cairn.store.sketches import Sketch, encode_sketches, parse_sketches
from tests.store import victim
from tests.store.families import MEMBERS, member
from tests.store.family_files import (
    Members,
    export,
    members,
    repacked,
    take,
    tampered,
    unseen,
    written,
)
from tests.store.making import optimized, small_pack_store
from tests.store.victims import Victims, check, check_tidy

TEXT = b"a file that stays raw"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> BlobStore:
    """A store with a whole family, a stranger to it, and a raw file."""
    store = small_pack_store(tmp_path_factory.mktemp("source"))
    for number in range(MEMBERS):
        optimized(store, member(number))
    optimized(store, member(MEMBERS))
    store.put_bytes(TEXT)
    return store


@pytest.fixture(scope="module")
def family() -> dict[Digest, bytes]:
    files = [TEXT, *(member(number) for number in range(MEMBERS))]
    return {digest_of(file): file for file in files}


@pytest.fixture
def path(source: BlobStore, family: dict[Digest, bytes], tmp_path: Path) -> Path:
    return export(source, family, tmp_path / "family.cairn")


@pytest.fixture
def target(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path / "target")


def digest_of(file: bytes) -> Digest:
    return Digest.sha256(hashlib.sha256(file).hexdigest())


def contents(store: BlobStore) -> dict[Digest, bytes]:
    """Every sound blob of a store."""
    assert store.verify().bad == ()
    found = {}
    for key in ("raw", "recipes"):
        for path in store._backend.root.glob(f"{key}/*/*"):  # type: ignore[attr-defined]
            digest = Digest.sha256(path.name)
            found[digest] = store.read_bytes(digest, 1 << 30)
    return found


def test_a_family_comes_out_as_it_went_in_and_takes_what_it_took(
    path: Path, family: dict[Digest, bytes], target: BlobStore
) -> None:
    done = take(target, path)
    assert (done.blobs, done.new_blobs) == (len(family), len(family))
    assert contents(target) == family
    plain = sum(map(len, family.values()))
    assert path.stat().st_size < 0.6 * plain
    stats = target.stats()
    assert stats.stored_bytes < path.stat().st_size < 1.1 * stats.stored_bytes
    # Deltas stay deltas, and new fine-tunes find the imported ones.
    assert set(stats.by_codec) >= {"same", "cast"}
    before = stats.stored_bytes
    optimized(target, member(2)[:-4] + bytes(4))
    assert target.stats().stored_bytes - before < 0.5 * len(member(2))


def test_a_file_that_was_imported_can_be_exported_to_the_same_file(
    path: Path, family: dict[Digest, bytes], target: BlobStore, tmp_path: Path
) -> None:
    take(target, path)
    again = export(target, family, tmp_path / "again.cairn")
    other = open_local_store(tmp_path / "other")
    take(other, again)
    assert contents(other) == family
    assert again.stat().st_size == pytest.approx(path.stat().st_size, rel=0.05)


def test_a_child_brings_what_it_is_made_from(
    source: BlobStore, target: BlobStore, tmp_path: Path
) -> None:
    child = digest_of(member(3))
    done = take(target, export(source, [child], tmp_path / "child.cairn"))
    assert done.new_blobs == 1
    assert contents(target) == {child: member(3)}


def test_what_is_there_is_shared_and_a_second_import_writes_nothing(
    source: BlobStore, path: Path, family: dict[Digest, bytes], target: BlobStore, tmp_path: Path
) -> None:
    few = [digest_of(member(number)) for number in range(3)]
    first = take(target, export(source, few, tmp_path / "few.cairn"))
    second = take(target, path)
    assert second.new_blobs == len(family) - 3
    assert first.written_bytes + second.written_bytes < 1.02 * path.stat().st_size
    assert take(target, path).written_bytes == 0
    assert contents(target) == family


def test_what_is_here_only_deeper_is_taken_so_that_all_is_read_from_less_deep_parts(
    target: BlobStore, tmp_path: Path
) -> None:
    source = open_local_store(tmp_path / "shallow")
    digests = [optimized(source, member(number)) for number in (3, 4)]
    path = export(source, digests, tmp_path / "shallow.cairn")
    for number in range(4):
        optimized(target, member(number))
    with FamilyFile(path) as file:
        recipe = FamilyContents(file).recipe(digests[0])
    part = max(recipe.parts(), key=lambda part: part.plain_bytes)
    assert depth_of(target, part.digest) > depth_of(source, part.digest) == 0
    assert take(target, path).new_blobs == 1
    assert depth_of(target, part.digest) == 0
    target.collect(lambda: digests, 0.0)
    assert depth_of(target, part.digest) == 0
    assert contents(target) == {digest_of(member(number)): member(number) for number in (3, 4)}


def depth_of(store: BlobStore, part: bytes) -> int:
    """In what depth the record of a part that counts lies."""
    parts = PartStore(store._backend, CODECS)
    parts.index.refresh()
    kept = parts.kept(part)
    assert kept is not None
    return kept.record.depth


def test_tar_makes_a_store_of_it(path: Path, family: dict[Digest, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(path), "-C", str(folder)], check=True)
    assert contents(open_local_store(folder)) == family


def test_what_is_damaged_or_not_there_is_not_exported(source: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(BlobNotFoundError):
        export(source, [digest_of(b"nowhere")], tmp_path / "f")
    root = tmp_path / "store"
    store = open_local_store(root)
    digest = optimized(store, member(0))
    (pack,) = root.glob("packs/*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(IntegrityError, match="verify"):
        export(store, [digest], tmp_path / "f")
    store.verify()
    with pytest.raises(IntegrityError, match="is damaged"):
        export(store, [digest], tmp_path / "f")


def test_importing_heals_what_was_damaged_here(
    path: Path, family: dict[Digest, bytes], tmp_path: Path
) -> None:
    root = tmp_path / "hurt"
    take(open_local_store(root), path)
    for pack in root.glob("packs/*.pack"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    hurt = open_local_store(root)
    assert hurt.verify().bad
    assert take(hurt, path).new_blobs > 0
    assert contents(hurt) == family


def test_a_gc_waits_until_what_came_in_is_wanted(
    path: Path, family: dict[Digest, bytes], target: BlobStore
) -> None:
    wanted: list[Digest] = []
    sweeper = threading.Thread(target=target.collect, args=(lambda: wanted, 0.0))
    with FamilyFile(path) as file, target.importing(FamilyContents(file), unseen):
        sweeper.start()
        sweeper.join(0.2)
        assert sweeper.is_alive()
        wanted += family
    sweeper.join()
    assert contents(target) == family


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_before_any_change_to_the_disk_loses_nothing(
    source: BlobStore, tmp_path: Path, step: int
) -> None:
    files = [TEXT, member(0), member(1)]
    path = export(source, map(digest_of, files), tmp_path / "few.cairn")
    prepared = tmp_path / "prepared"
    victim.put(prepared, {"seeds": [1, 2]})
    victim.optimize(prepared, {})
    victims = Victims("--warm")
    number, killed = 1 - step, True
    while killed:
        number += step
        root = tmp_path / f"take-{number}"
        shutil.copytree(prepared, root)
        shutil.copy(f"{prepared}.acks", f"{root}.acks")
        victims.start("take", root, file=str(path), die_before=number)
        killed = victims.killed()
        check(root)
        victims.start("take", root, file=str(path))
        assert not victims.killed()
        store = victim.open_store(root)
        assert {d: store.read_bytes(d, 1 << 30) for d in map(digest_of, files)} == {
            digest_of(file): file for file in files
        }
        check(root)
        if number % 5 == 0:
            check_tidy(root)
        shutil.rmtree(root)
    victims.close()
    assert number > 15, "the victims were not killed where it matters"


# What strangers write


def refused(target: BlobStore, path: Path, match: str | None = None) -> None:
    """No part of the file is taken, and no blob but one that is what its name says."""
    with pytest.raises(UntrustedDataError, match=match):
        take(target, path)
    assert contents(target).keys() <= {digest_of(TEXT)}
    assert target.stats().parts == 0


def test_any_damage_shows_in_the_checksum(path: Path, target: BlobStore) -> None:
    data = path.read_bytes()
    for at in range(0, len(data), len(data) // 97):
        wrong = bytearray(data)
        wrong[at] ^= 4
        path.write_bytes(wrong)
        refused(target, path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
def test_a_file_that_was_cut_is_refused(path: Path, target: BlobStore, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(target, path)


def test_something_else_is_no_family_file(tmp_path: Path, target: BlobStore) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(member(0))
    with pytest.raises(UnknownFormatError, match="cairn store export"):
        take(target, path)


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/evil", "raw/../../evil", "evil", "locks/maintenance", "raw/.evil", "FORMAT"],
)
def test_a_member_that_does_not_belong_is_refused(
    path: Path, target: BlobStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.store.family_file.check_key", lambda key: key)
    evil = written(path.with_name("evil"), [*members(path), (name, b"evil")])
    monkeypatch.undo()
    refused(target, evil, "belong|leads out")


def test_a_newer_version_is_not_guessed_at(path: Path, target: BlobStore) -> None:
    def newer(key: str, data: bytes) -> Members:
        return [(key, data.replace(b'"version": 1', b'"version": 2'))]

    with pytest.raises(UnknownFormatError, match="Update Cairn"):
        take(target, tampered(path, newer))


def test_a_head_that_says_otherwise_is_refused(path: Path, target: BlobStore) -> None:
    def fewer(key: str, data: bytes) -> Members:
        if key != "cairn-family.json":
            return [(key, data)]
        return [(key, json.dumps({**json.loads(data), "blobs": 1}).encode())]

    refused(target, tampered(path, fewer), "than its head says")


def first_part(change: Callable[[Encoded], Encoded]) -> Callable[[list[Encoded]], list[Encoded]]:
    return lambda records: [change(records[0]), *records[1:]]


def as_own_base(part: Encoded) -> Encoded:
    derived = next_base(part, part.digest)
    return replace(derived, depth=1)


def next_base(part: Encoded, base: bytes) -> Encoded:
    """The part as if it were made from another; what follows the table is never read."""
    bases = (Base(base, 0, part.plain_bytes),)
    return replace(part, codec="same", bases=bases, stored=encode_bases(bases) + bytes(8), depth=1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda records: records[1:], "is not in"),
        (lambda records: [*records, records[0]], "twice"),
        (first_part(as_own_base), "too many steps"),
        (first_part(lambda part: next_base(part, bytes(32))), "is not in it"),
        (first_part(lambda part: replace(part, codec="no such codec")), "codec|predictor"),
        (first_part(lambda part: replace(part, digest=blake3(b"another").digest())), "is not in"),
        (lambda records: [replace(r, depth=r.depth + bool(r.bases)) for r in records], "depth"),
    ],
    ids=["lost", "twice", "circle", "lost base", "codec", "digest", "depth"],
)
def test_parts_that_do_not_fit_are_refused(
    path: Path,
    target: BlobStore,
    change: Callable[[list[Encoded]], list[Encoded]],
    match: str,
) -> None:
    refused(target, tampered(path, repacked(change)), match)


def test_a_part_that_is_not_what_its_digest_says_never_lands(path: Path, target: BlobStore) -> None:
    """Also one that no recipe names: what is made from it would be right by chance only."""
    raw = Encoded(blake3(b"the truth").digest(), 9, "raw", None, b"something")

    def beside(key: str, data: bytes) -> Members:
        if key == "cairn-family.json":
            said = json.loads(data)
            return [(key, json.dumps({**said, "parts": said["parts"] + 1}).encode())]
        return repacked(lambda records: [raw, *records])(key, data)

    evil = tampered(path, beside)
    with FamilyFile(evil) as file, pytest.raises(MalformedError, match="does not match"):
        FamilyContents(file).verify(unseen)

    def instead(records: list[Encoded]) -> list[Encoded]:
        return [replace(r, stored=b"x" * r.plain_bytes, codec="raw", dtype=None)
                if not r.bases else r for r in records]  # fmt: skip

    refused(target, tampered(path, repacked(instead)), "at byte [0-9]+: packs/")


def test_a_blob_that_is_not_what_its_digest_says_is_refused(
    path: Path, family: dict[Digest, bytes], target: BlobStore
) -> None:
    def other_text(key: str, data: bytes) -> Members:
        return [(key, TEXT[::-1] if key == raw_key(digest_of(TEXT)) else data)]

    with pytest.raises(MalformedError, match="raw/"):
        take(target, tampered(path, other_text))
    assert TEXT not in contents(target).values()

    def exchanged(key: str, data: bytes) -> Members:
        """A recipe that is sound in itself, of other parts than the blob has."""
        if key != recipe_key(digest_of(member(0))):
            return [(key, data)]
        with FamilyFile(path) as file:
            kept = FamilyContents(file)
            other = kept.recipe(digest_of(member(1)))
        blob = Blob(digest_of(member(0)), other.blob.size_bytes)
        cuts = list(other.slices(0, blob.size_bytes))
        return [(key, Recipe.of(blob, list(other.parts()), cuts).encode())]

    with pytest.raises(MalformedError, match="reads back as"):
        take(target, tampered(path, exchanged))
    assert not target.has(digest_of(member(0)))
    assert target.verify().bad == ()


def test_a_small_file_cannot_ask_for_years_of_reading(tmp_path: Path, target: BlobStore) -> None:
    zeros = bytes(4 << 20)
    part = Part(blake3(zeros).digest(), len(zeros))
    blob = Blob(digest_of(b"whatever"), 5000 * len(zeros))
    recipe = Recipe.of(blob, [part], [Slice(0, 0, len(zeros))] * 5000)
    source = open_local_store(tmp_path / "zeros")
    digest = source.put_bytes(zeros + b"1").digest
    assert source.optimize(digest, None).rewritten
    path = export(source, [digest], tmp_path / "zeros.cairn")

    def longer(key: str, data: bytes) -> Members:
        if key.startswith(RECIPES):
            return [(recipe_key(blob.digest), recipe.encode())]
        if key == "cairn-family.json":
            said = {**json.loads(data), "plain_bytes": blob.size_bytes}
            return [(key, json.dumps(said).encode())]
        return [(key, data)]

    bomb = tampered(path, longer)
    with pytest.raises(LimitError, match="at most"):
        take(target, bomb)
    with FamilyFile(bomb) as file:
        assert FamilyContents(file, blob.size_bytes).blobs == (blob,)


def test_parts_that_no_recipe_names_cannot_ask_for_years_either(path: Path, tmp_path: Path) -> None:
    strangers = 200

    def more(records: list[Encoded]) -> list[Encoded]:
        """And parts that nothing names, each made from the largest one of the file."""
        last = max(records, key=lambda record: record.plain_bytes)
        base = Base(last.digest, 0, last.plain_bytes)
        named = [blake3(bytes([n])).digest() for n in range(strangers)]
        made = (replace(last, digest=d, bases=(base,), depth=last.depth + 1) for d in named)
        tables = ((m, encode_bases([base]) + encode_body(b"", 0, b"")) for m in made)
        return [*records, *(replace(m, codec="same", stored=table) for m, table in tables)]

    def counted(key: str, data: bytes) -> Members:
        if key != "cairn-family.json":
            return repacked(more)(key, data)
        said = json.loads(data)
        return [(key, json.dumps({**said, "parts": said["parts"] + strangers}).encode())]

    bomb = tampered(path, counted)
    with FamilyFile(path) as file:
        most = 8 * sum(blob.size_bytes for blob in FamilyContents(file).blobs)
        FamilyContents(file, most)
    with FamilyFile(bomb) as file, pytest.raises(LimitError, match="what it holds"):
        FamilyContents(file, most)


def test_a_recipe_cannot_ask_for_the_same_parts_again_and_again(tmp_path: Path) -> None:
    parts = [bytes([n]) * (4 << 20) for n in range(8)]
    source = open_local_store(tmp_path / "parts")
    digest = source.put_bytes(b"".join(parts)).digest
    assert source.optimize(digest, None).rewritten
    path = export(source, [digest], tmp_path / "parts.cairn")

    def patched(count: int) -> Path:
        def change(key: str, data: bytes) -> Members:
            if key == "cairn-family.json":
                return [(key, json.dumps({**json.loads(data), "plain_bytes": count}).encode())]
            if not key.startswith(RECIPES):
                return [(key, data)]
            named = list(FamilyContents(FamilyFile(path)).recipe(digest).parts())
            cuts = [Slice(n % 8, n, n + 1) for n in range(count)]
            return [(key, Recipe.of(Blob(digest, count), named, cuts).encode())]

        return tampered(path, change)

    most = 1 << 30  # each byte of these is of another part than the one before
    with FamilyFile(patched(200)) as file:
        FamilyContents(file, most)
    with FamilyFile(patched(300)) as file, pytest.raises(LimitError, match="decodes 125"):
        FamilyContents(file, most)


def test_bytes_changed_at_random_are_refused_or_change_nothing(
    path: Path, family: dict[Digest, bytes], tmp_path: Path
) -> None:
    """With a right checksum: what a stranger writes, not what a disk does."""
    rng = random.Random(1)
    whole = members(path)
    refusals = 0
    for n in range(60):
        which = rng.randrange(len(whole))
        key, data = whole[which]
        wrong = bytearray(data)
        for _ in range(rng.choice((1, 1, 8))):
            reach = min(len(wrong), rng.choice((64, 400, 1 << 30)))
            wrong[rng.randrange(reach)] = rng.randrange(256)
        changed = [*whole[:which], (key, bytes(wrong)), *whole[which + 1 :]]
        evil = written(tmp_path / "evil", changed)
        store = open_local_store(tmp_path / f"store-{n}")
        try:
            take(store, evil)
        except UntrustedDataError:
            refusals += 1
        assert contents(store).items() <= family.items()
    assert refusals > 40


def test_chains_are_counted_and_bounded() -> None:
    wide = {bytes([n]): tuple(bytes([n + 1]) for _ in range(32)) for n in range(4)}
    with pytest.raises(IntegrityError, match="parts to read"):
        depths_of(wide)
    deep = {bytes([n]): (bytes([n + 1]),) for n in range(40)}
    with pytest.raises(IntegrityError, match="too many steps"):
        depths_of(deep)
    assert depths_of({b"c": (b"b", b"a"), b"b": (b"a",)}) == {b"b": 1, b"c": 2}


def test_sketches_of_what_a_blob_cannot_have_are_refused(path: Path, target: BlobStore) -> None:
    def stretched(key: str, data: bytes) -> Members:
        if not key.startswith("sketches/"):
            return [(key, data)]
        digest = Digest.sha256(key[-64:])
        rows = [
            Sketch(replace(s.span, stop=s.span.stop + (1 << 40)), s.dtype, s.elements, s.values)
            for s in parse_sketches(data, digest)
        ]
        return [(key, encode_sketches(digest, rows))]

    with pytest.raises(MalformedError, match="sketch"):
        take(target, tampered(path, stretched))


def test_a_writer_keeps_what_it_announces() -> None:
    writer = FamilyWriter(bytearray().extend)
    with pytest.raises(Exception, match="announced as 3"):
        writer.add("names/a", 3, [b"four"])
