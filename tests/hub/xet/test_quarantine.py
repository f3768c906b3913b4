"""What scans hold back is not to be had over Xet either, whatever it is called and whoever asks."""

from urllib.parse import urlsplit

import pytest

from cairn.catalog import PutFile
from cairn.domain import Blob, Digest, Verdict
from cairn.errors import UnavailableError
from cairn.hub import scan_desk
from cairn.hub.signing import Signer
from cairn.workflows.releasing import MOST_NAMES_NOW
from tests.hub.xet.builders import File, Xorb
from tests.hub.xet.builders import shard as make_shard
from tests.hub.xet.conftest import SECRET, XetHub
from tests.hub.xet.repos import new_repo, whole

# Opcodes and source written by hand: nothing here is ever run.
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."
SOURCE = b"import os\nos.system('ls')\n"  # harmless as a text, not as a module


def publish(hub: XetHub, path: str, content: bytes) -> tuple[str, File]:
    """A repo of ann's that everybody may read, with this file pushed over Xet."""
    repo, xorb = new_repo(hub, "ann"), Xorb([content])
    file, grant = whole(xorb), hub.connect(repo)
    hub.cas(grant, f"/v1/xorbs/default/{xorb.text}", xorb.body)
    shard = make_shard([file.record()], [])
    assert hub.cas(grant, "/v1/shards", shard).status_code == 200
    hub.house.catalog.history.commit(
        hub.uid(repo),
        "refs/heads/main",
        [PutFile.large(path, Blob(Digest.sha256(file.sha256), len(content)))],
        expected_parent=None,
        author=hub.house.catalog.accounts.get("ann"),
        title="Push",
        when=hub.clock(),
    )
    return repo, file


def asked(hub: XetHub, repo: str, file: File, who: str = "bob", kind: str = "read") -> int:
    """The status that somebody gets who asks where the file's bytes are."""
    grant = hub.connect(repo, kind=kind, who=who)
    return hub.cas(grant, f"/v1/reconstructions/{file.text}").status_code


def verdict(hub: XetHub, file: File) -> Verdict | None:
    return hub.house.catalog.blob_scans.verdict_of(Digest.sha256(file.sha256))


def test_a_fresh_file_is_scanned_before_it_is_given_out(hub: XetHub) -> None:
    repo, file = publish(hub, "notes.txt", b"some words that nobody scanned yet\n")
    assert verdict(hub, file) is None
    assert asked(hub, repo, file) == 200
    assert verdict(hub, file) is Verdict.CLEAN
    (scan,) = hub.house.catalog.blob_scans.of_blob(Digest.sha256(file.sha256))
    assert scan.name == "notes.txt", "under its name, by which loaders take it"


def test_a_malicious_file_is_given_to_nobody(hub: XetHub) -> None:
    repo, file = publish(hub, "model.bin", MALICIOUS)
    assert asked(hub, repo, file) == 403
    assert verdict(hub, file) is Verdict.MALICIOUS
    assert asked(hub, repo, file, "ann") == 403
    assert asked(hub, repo, file, "ann", "write") == 403


def test_an_address_that_was_given_out_before_a_file_was_found_malicious_ends_with_it(
    hub: XetHub,
) -> None:
    repo, file = publish(hub, "notes.txt", b"words that turn out to be known as bad\n")
    digest = Digest.sha256(file.sha256)
    grant = hub.connect(repo, kind="read", who="bob")
    (entries,) = hub.cas(grant, f"/v1/reconstructions/{file.text}").json()["fetch_info"].values()
    address = entries[0]["url"]
    assert hub.http(address).status_code == 206
    scans = hub.house.catalog.blob_scans
    (kept,) = scans.of_blob(digest)
    scans.put(kept.named, kept.extraction, kept.rules, Verdict.MALICIOUS, kept.evidence)
    refused = hub.http(address)
    assert refused.status_code == 403
    assert refused.headers["X-Error-Message"] == "Access to this resource is disabled."
    scans.put(kept.named, kept.extraction, kept.rules, Verdict.CLEAN, kept.evidence)
    assert hub.http(address).status_code == 206


def test_an_address_from_before_it_said_which_file_is_refused(hub: XetHub) -> None:
    repo, file = publish(hub, "notes.txt", b"words asked for across an upgrade\n")
    grant = hub.connect(repo, kind="read", who="bob")
    (entries,) = hub.cas(grant, f"/v1/reconstructions/{file.text}").json()["fetch_info"].values()
    path = urlsplit(entries[0]["url"]).path
    old = Signer(SECRET.encode()).url_query("GET", path, {"start": 0, "stop": 8}, 60)
    refused = hub.http(f"{path}?{old}")
    assert refused.status_code == 403
    assert "something else" in refused.headers["X-Error-Message"]


def test_a_file_that_was_harmless_by_its_first_name_is_scanned_by_its_second(hub: XetHub) -> None:
    repo, file = publish(hub, "notes.txt", SOURCE)
    assert asked(hub, repo, file) == 200
    again, same = publish(hub, "lib/modeling.py", SOURCE)
    assert asked(hub, again, same) == 403
    assert asked(hub, repo, file) == 403, "bytes asked for without a path have all their names"


def test_a_file_that_cannot_be_scanned_is_not_given_out(
    hub: XetHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, file = publish(hub, "notes.txt", b"other words that nobody scanned yet\n")

    def fail(*_: object) -> Verdict:
        raise UnavailableError("no scanning process can be started")

    monkeypatch.setattr(scan_desk, "scan_blob", fail)
    assert asked(hub, repo, file) == 503
    assert asked(hub, repo, file, "ann", "write") == 200, "its sender may have it back"


def test_nobody_can_make_a_request_scan_by_more_names_than_a_few(hub: XetHub) -> None:
    content = b"words that come by many names\n"
    repo, file = publish(hub, "notes.txt", content)
    blob = Blob(Digest.sha256(file.sha256), len(content))
    hub.house.catalog.history.commit(
        hub.uid(repo),
        "refs/heads/main",
        [PutFile.large(f"{n}.txt", blob) for n in range(MOST_NAMES_NOW)],
        expected_parent=None,
        author=hub.house.catalog.accounts.get("ann"),
        title="Many names",
        when=hub.clock(),
    )
    assert asked(hub, repo, file) == 503
    assert verdict(hub, file) is None
