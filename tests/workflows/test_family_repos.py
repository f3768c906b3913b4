"""Repos in a family file: the same commits, refs, settings and bytes in another hub."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.catalog import Attachment, Change, DeleteFile, PutFile
from cairn.catalog.gitobjects import blob_oid_of
from cairn.config import Settings
from cairn.domain import Account, Actor, RepoId, RepoType, Scope
from cairn.errors import (
    ConflictError,
    NotFoundError,
    RepoNotFoundError,
    RequestError,
    UntrustedDataError,
)
from cairn.provenance.signing import Signer
from cairn.store import FamilyContents, FamilyFile
from cairn.workflows.attaching import attach_bundle
from cairn.workflows.browse import View
from cairn.workflows.cards import sync_card
from cairn.workflows.family_names import import_names
from cairn.workflows.family_repos import (
    Arrived,
    describe_departure,
    import_repos,
    list_repos,
    with_families,
)
from cairn.workflows.house import House
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.revision_proof import revision_digests
from cairn.workflows.signing import sign_digests
from tests.cli.command import cairn
from tests.provenance.models import new_key
from tests.store.family_files import Members, tampered, unseen
from tests.store.victims import Victims

ANN = Account("ann", "Ann <x>", email="ann@example.org")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASE = np.random.default_rng(1).normal(0, 0.02, 40_000).astype(np.float32)
STEP = np.random.default_rng(2).normal(0, 1e-5, 40_000).astype(np.float32)


class Source:
    """A hub whose repos are filled commit by commit."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._now = START

    def repo(self, name: str, **settings: object) -> str:
        made = self.house.catalog.repos.create(model(name), private=bool(settings.get("private")))
        if "gated" in settings:
            self.house.catalog.repos.update(made.id, gated=str(settings["gated"]))
        return made.uid

    def commit(self, uid: str, *changes: Change, branch: str = "main") -> str:
        self._now += timedelta(hours=7)
        return self.house.catalog.history.commit(
            uid, f"refs/heads/{branch}", changes, expected_parent=None, author=ANN,
            title=f"Change at {self._now.hour}", description="why: “so”\n\nand so on",
            when=self._now,
        ).id  # fmt: skip

    def text(self, path: str, content: str) -> PutFile:
        blob = self.house.store.put_bytes(content.encode())
        return PutFile.regular(path, blob, blob_oid_of(content.encode()))

    def weights(self, path: str, values: np.ndarray) -> PutFile:
        return PutFile.large(path, self.house.store.put_bytes(save({"w": values})))


def model(name: str) -> RepoId:
    return RepoId.parse(RepoType.MODEL, name)


def open_hub(folder: Path, *people: str) -> House:
    house = open_house(Settings(data_dir=folder))
    for name in people:
        house.catalog.accounts.create_user(name)
    return house


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A gated base with a past, branches and a tag, to which bob was let in; its private tune."""
    made = Source(open_hub(tmp_path / "source", "ann", "bob"))
    base = made.repo("ann/base", gated="auto")
    catalog = made.house.catalog
    catalog.access_requests.grant(catalog.repos.get_by_uid(base), "bob", None)
    made.commit(base, made.text("README.md", "---\nlicense: mit\n---\n# Base"))
    first = made.commit(base, made.weights("model.safetensors", BASE), made.text("a", "a file"))
    history = made.house.catalog.history
    history.create_ref(base, "refs/tags/v1", first)
    history.create_ref(base, "refs/heads/next", first)
    made.commit(base, DeleteFile("a"), made.text("a/b/ü.txt", "now a folder"), branch="next")
    made.commit(base, made.weights("model.safetensors", BASE + STEP), DeleteFile("README.md"))
    made.commit(base, made.text("README.md", "---\nlicense: mit\ntags: [x]\n---\n# Base"))
    tuned = made.repo("ann/tuned", private=True)
    made.commit(
        tuned,
        made.text("README.md", "---\nbase_model: ann/base\n---\n"),
        made.weights("tuned.safetensors", BASE + 2 * STEP),
    )
    assert all(done.rewritten for done in optimize_pending(made.house, lambda error: None))
    for name in ("ann/base", "ann/tuned"):
        sync_card(made.house, made.house.catalog.repos.get(model(name)))
    return made


def exported(house: House, path: Path, *names: str) -> Path:
    leaving = describe_departure(house, [model(name) for name in names])
    with house.store.exporting(leaving.blobs) as export, path.open("wb") as out:
        export.write(out.write, unseen, repos=leaving.members)
    return path


def take(house: House, path: Path, into: str | None = None) -> list[Arrived]:
    with FamilyFile(path) as file:
        file.check(unseen)
        return import_repos(house, FamilyContents(file), into=into, progress=unseen)[1]


def state(house: House, name: str) -> dict[str, object]:
    """Refs, and of every commit what it says and every byte it holds."""
    record = house.catalog.repos.get(model(name))
    history = house.catalog.history
    found: dict[str, object] = {ref.name: ref.commit for ref in history.refs(record.uid)}
    for past in house.catalog.past_commits.of(record.uid):
        revision = history.resolve(record.uid, past.id)
        found[past.id] = revision, past.identity, history.changes(record.uid, past.id), {
            path: (entry.oid, entry.lfs, house.store.read_bytes(entry.blob.digest, 1 << 30))
            for path, entry in history.manifest(revision.tree).entries.items()
        }  # fmt: skip
    return found


@pytest.fixture
def path(source: Source, tmp_path: Path) -> Path:
    return exported(source.house, tmp_path / "family.cairn", "ann/base", "ann/tuned")


@pytest.fixture
def target(tmp_path: Path) -> House:
    return open_hub(tmp_path / "target", "ann", "bob")


def test_repos_arrive_with_every_commit_ref_byte_and_setting(
    source: Source, path: Path, target: House
) -> None:
    arrived = take(target, path)
    assert [(str(one.id), one.new_commits) for one in arrived] == [
        ("ann/base", 5),
        ("ann/tuned", 1),
    ]
    for name in ("ann/base", "ann/tuned"):
        assert state(target, name) == state(source.house, name)
        there, here = (h.catalog.repos.get(model(name)) for h in (source.house, target))
        assert (here.private, here.gated, here.head) == (there.private, there.gated, there.head)
    base = target.catalog.repos.get(model("ann/base"))
    assert (base.license, "x" in base.tags) == ("mit", True)
    assert target.catalog.access_requests.find(base.uid, "bob") is None, "another hub's bob"
    assert {record.id for record in target.catalog.repos.repos_to_describe()} == {
        model("ann/base"), model("ann/tuned"),
    }  # fmt: skip
    # It takes in the other hub what it takes in the first, and gc leaves it alone.
    target.store.collect(target.catalog.history.live_digests, 0)
    assert target.store.verify().bad == ()
    stored = [h.store.stats().stored_bytes for h in (source.house, target)]
    assert stored[1] == pytest.approx(stored[0], rel=0.05)


def test_a_second_import_changes_nothing_and_into_makes_another_repo(
    source: Source, path: Path, target: House
) -> None:
    take(target, path)
    assert [one.new_commits for one in take(target, path)] == [0, 0]
    assert [str(one.id) for one in take(target, path, into="bob")] == ["bob/base", "bob/tuned"]
    assert state(target, "bob/base") == state(source.house, "ann/base")
    with pytest.raises(NotFoundError, match="cairn org add"):
        take(target, path, into="nobody")


def test_a_repo_that_is_here_moves_forward_and_never_back(
    source: Source, path: Path, target: House, tmp_path: Path
) -> None:
    take(target, path)
    uid = source.house.catalog.repos.get(model("ann/base")).uid
    source.commit(uid, source.text("new", "later"))
    later = exported(source.house, tmp_path / "later.cairn", "ann/base")
    target.catalog.repos.update(model("ann/base"), private=True)
    assert [one.new_commits for one in take(target, later)] == [1]
    assert state(target, "ann/base") == state(source.house, "ann/base")
    assert target.catalog.repos.get(model("ann/base")).private  # settings of here stay
    take(target, path)
    assert state(target, "ann/base") == state(source.house, "ann/base")


def test_histories_that_went_apart_are_a_conflict_and_change_nothing(
    source: Source, path: Path, target: House, tmp_path: Path
) -> None:
    take(target, path)
    here = Source(target)
    uid = target.catalog.repos.get(model("ann/base")).uid
    here.commit(uid, here.text("mine", "made here"))
    before = state(target, "ann/base")
    source.commit(source.house.catalog.repos.get(model("ann/base")).uid, source.text("b", "there"))
    later = exported(source.house, tmp_path / "later.cairn", "ann/base")
    with pytest.raises(ConflictError, match="refs/heads/main"):
        take(target, later)
    assert state(target, "ann/base") == before
    blobs = target.store.stats().blobs
    with pytest.raises(ConflictError, match="refs/heads/main"):
        take(target, exported(source.house, tmp_path / "both.cairn", "ann/tuned", "ann/base"))
    assert target.store.stats().blobs == blobs  # told before anything landed


def test_a_family_is_what_cards_connect(source: Source) -> None:
    source.repo("ann/stranger")
    assert with_families(source.house, [model("ann/tuned")]) == [
        model("ann/base"), model("ann/tuned"),
    ]  # fmt: skip
    with pytest.raises(RepoNotFoundError):
        describe_departure(source.house, [model("ann/nothing")])


def test_a_file_of_repos_is_not_taken_for_one_of_names(path: Path, target: House) -> None:
    with FamilyFile(path) as file, pytest.raises(RequestError, match="holds repos"):
        import_names(target.store, FamilyContents(file), progress=unseen)


def altered(change: Callable[[dict], None], member: str) -> Callable[[str, bytes], Members]:
    """Every JSON value of the members with this name is changed."""

    def made(key: str, data: bytes) -> Members:
        if not key.endswith(member):
            return [(key, data)]
        values = [json.loads(data)] if member == "repo.json" else map(json.loads, data.splitlines())
        lines = []
        for value in values:
            change(value)
            lines.append(json.dumps(value).encode() + b"\n")
        return [(key, b"".join(lines))]

    return made


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_repos_that_are_whole_or_not_there(
    source: Source, path: Path, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    open_hub(prepared, "ann").catalog.close()
    names = ("ann/base", "ann/tuned")
    whole = {name: state(source.house, name) for name in names}
    victims = Victims("--warm")
    took_s = killed = 0.0
    for n in range(12):
        data = tmp_path / f"hub-{n}"
        shutil.copytree(prepared, data)
        began = time.monotonic()
        deadline = {"die_after_s": took_s * (n - 1) / 11} if n > 1 else {}
        victims.start("arrive", data, file=str(path), **deadline)
        killed += victims.killed()
        if n < 2:  # they live: one for the server to get ready, one to see how long it takes
            took_s = time.monotonic() - began
        house = open_hub(data)
        assert house.store.verify().bad == ()
        there = [name for name in names if not absent(house, name)]
        assert {name: state(house, name) for name in there} == {n: whole[n] for n in there}
        take(house, path)  # whoever comes next finishes the work
        assert {name: state(house, name) for name in names} == whole
        house.catalog.close()
    victims.close()
    assert killed > 3


def absent(house: House, name: str) -> bool:
    try:
        house.catalog.repos.get(model(name))
    except RepoNotFoundError:
        return True
    return False


HISTORY = "history-000000.jsonl"


@pytest.mark.parametrize(
    ("member", "change", "match"),
    [
        ("repo.json", lambda said: said.update(name="../evil"), "not allowed"),
        ("repo.json", lambda said: said.update(gated="maybe"), "gated"),
        ("repo.json", lambda said: said.update(sdk="gradio"), "sdk"),
        ("repo.json", lambda said: said.update(private="no"), "neither"),
        ("repo.json", lambda said: said.update(refs={"refs/heads/main": "0" * 40}), "no commit"),
        ("repo.json", lambda said: said["refs"].update({"refs/../x": "0" * 40}), "refs/heads"),
        (HISTORY, lambda said: "path" in said and said.update(path="../evil"), "not allowed"),
        (HISTORY, lambda said: "path" in said and said.update(path=".git/config"), "not allowed"),
        (HISTORY, lambda said: "oid" in said and said.update(oid="1" * 40), "is not 1111"),
        (
            HISTORY,
            lambda said: "sha256" in said and said.update(sha256="ab" * 32),
            "not in the file",
        ),
        (HISTORY, lambda said: "size" in said and said.update(size=3), "not in the file"),
        (HISTORY, lambda said: "title" in said and said.update(title="another"), "comes out as"),
        (HISTORY, lambda said: "title" in said and said.update(title="a\0"), "NUL"),
        (HISTORY, lambda said: "when" in said and said.update(when=5), "comes out as"),
        (HISTORY, lambda said: "when" in said and said.update(when=1 << 60), "not a number"),
        (HISTORY, lambda said: "author" in said and said.update(author="a/b"), "not allowed"),
        (HISTORY, lambda said: "identity" in said and said.update(identity="a <b>\nx"), "git"),
        (HISTORY, lambda said: "parent" in said and said.update(parent="1" * 40), "parent"),
        (HISTORY, lambda said: "files" in said and said.update(files=99), "missing|cut short"),
        (HISTORY, lambda said: "files" in said and said.update(files=-1), "not a number"),
    ],
)
def test_what_strangers_say_of_repos_is_not_believed(
    path: Path, target: House, member: str, change: Callable[[dict], None], match: str
) -> None:
    evil = tampered(path, altered(change, member))
    with pytest.raises(UntrustedDataError, match=match) as caught:
        take(target, evil)
    assert str(evil) in str(caught.value)
    assert all(absent(target, name) for name in ("ann/base", "ann/tuned", "ann/evil"))
    assert target.store.stats().blobs == 0


def test_members_that_belong_to_no_repo_are_refused(path: Path, target: House) -> None:
    def with_stranger(key: str, data: bytes) -> Members:
        return [(key.replace("/0001/", "/0007/"), data)]

    with pytest.raises(UntrustedDataError, match="belongs to no repo"):
        take(target, tampered(path, with_stranger))


def test_long_histories_are_read_in_pieces(
    source: Source, target: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.workflows.past_lines.PIECE_BYTES", 300)
    path = exported(source.house, tmp_path / "pieces.cairn", "ann/base")
    with FamilyFile(path) as file:
        assert len(file.keys("repos/0000/history-")) > 5
        assert [listed.commits for listed in list_repos(file)] == [5]
    take(target, path)
    assert state(target, "ann/base") == state(source.house, "ann/base")


def test_the_commands_move_a_family(source: Source, target: House, tmp_path: Path) -> None:
    source.house.catalog.close()
    path = tmp_path / "family.cairn"
    made = cairn(
        "store", "export", "ann/tuned", "--family", "-o", str(path), "--json",
        data=tmp_path / "source",
    )  # fmt: skip
    assert json.loads(made.stdout)["repos"] == 2
    listed = cairn("store", "import", str(path), "--list").stdout
    assert "gated (auto)" in listed
    assert "next" in listed
    cairn("store", "verify", str(path))
    done = cairn("store", "import", str(path), "--json", data=tmp_path / "target")
    assert json.loads(done.stdout)["repos"] == [
        {"repo": "ann/base", "new_commits": 5, "left_out": []},
        {"repo": "ann/tuned", "new_commits": 1, "left_out": []},
    ]
    assert state(target, "ann/base") == state(source.house, "ann/base")


SIGNER = Signer(new_key())


@pytest.fixture
def signed(source: Source) -> Source:
    """The base with signatures of its newest revision and of an old one."""
    record = source.house.catalog.repos.get(model("ann/base"))
    for name in ("main", "v1"):
        view = View(record, source.house.catalog.history.resolve(record.uid, name))
        bundle, _ = sign_digests("base", revision_digests(source.house, view), SIGNER)
        assert attach_bundle(source.house, Actor(ANN, Scope.WRITE), view, bundle.as_bytes())
    return source


def attached(house: House, name: str) -> list[tuple[str, Attachment]]:
    return list(house.catalog.attachments.all_of(house.catalog.repos.get(model(name)).uid))


def test_signatures_go_along_with_who_sent_them(signed: Source, tmp_path: Path) -> None:
    path = exported(signed.house, tmp_path / "signed.cairn", "ann/tuned", "ann/base")
    there = open_hub(tmp_path / "there", "bob")
    arrived = take(there, path, into="bob")
    assert [one.left_out for one in arrived] == [(), ()]
    kept = attached(there, "bob/base")
    assert len(kept) == 2 and all(one.imported for _, one in kept)
    sent = attached(signed.house, "ann/base")
    assert [(commit, replace(one, imported=False)) for commit, one in kept] == sent
    assert {one.sender for _, one in kept} == {"ann"}
    assert attached(there, "bob/tuned") == []
    actions = [row.action for row in there.catalog.audit.recent(20)]
    assert actions.count("attachment.import") == 2
    assert [one.left_out for one in take(there, path, into="bob")] == [(), ()]
    assert attached(there, "bob/base") == kept, "a second time changes nothing"


def test_a_signature_of_other_files_is_left_out_and_named(signed: Source, tmp_path: Path) -> None:
    path = exported(signed.house, tmp_path / "signed.cairn", "ann/base")

    (commit, _), (other, _) = attached(signed.house, "ann/base")

    def moved(key: str, data: bytes) -> Members:
        return [(key, data.replace(commit.encode(), other.encode()) if key == ATTACHED else data)]

    there = open_hub(tmp_path / "there", "ann")
    (arrived,) = take(there, tampered(path, moved))
    (why,) = arrived.left_out
    assert "is about other files" in why and "signature of" in why
    assert len(attached(there, "ann/base")) == 1


ATTACHED = "repos/0000/attachment-000000.json"


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "../x"},
        {"content": "?"},
        {"received_at": "2026-01-01T00:00:00"},
        {"received_at": "0001-01-01T00:00:00+01:00"},  # before there is a time
        {"sender": "a/b"},
        {"kind": None, "content": None},
    ],
)
def test_what_is_no_attachment_stops_the_import_before_it_begins(
    signed: Source, tmp_path: Path, change: dict
) -> None:
    path = exported(signed.house, tmp_path / "signed.cairn", "ann/base")

    def damage(key: str, data: bytes) -> Members:
        return [(key, json.dumps(json.loads(data) | change).encode() if key == ATTACHED else data)]

    there = open_hub(tmp_path / "there", "ann")
    with pytest.raises(UntrustedDataError, match="no attachment"):
        take(there, tampered(path, damage))
    with pytest.raises(RepoNotFoundError):
        there.catalog.repos.get(model("ann/base"))
