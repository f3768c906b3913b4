"""Signatures of revisions: attached by writers, checked at every look against those trusted."""

import hashlib
import json

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from cairn.catalog import Attachment
from cairn.catalog.schema import attachments
from cairn.domain import Digest, RepoId, RepoType
from cairn.provenance.signing import SignedManifest, Signer, keys
from cairn.workflows.signing import sign_digests
from tests.hub.conftest import Hub, Repo
from tests.provenance.models import new_key

FILES = {"config.json": b"{}", "weights.bin": b"weights"}
OF_MAIN = "/api/cairn/models/ann/m/{}/main"
SIGNER = Signer(new_key())
PUBLIC = keys.public_pem(SIGNER.key.public_key()).decode()


@pytest.fixture
def model(repo: Repo) -> Repo:
    for path, content in FILES.items():
        repo.put(path, content)
    return repo


def digests(client: TestClient) -> dict[str, str]:
    return client.get(OF_MAIN.format("digests")).json()["sha256"]


def bundle_of(client: TestClient, signer: Signer = SIGNER) -> bytes:
    return sign_digests("m", digests(client), signer)[0].as_bytes()


def attach(client: TestClient, content: bytes, status: int = 201) -> dict:
    answer = client.post(OF_MAIN.format("signatures"), content=content)
    assert answer.status_code == status, answer.text
    return answer.json()


def trust(hub: Hub, pem: str = PUBLIC, namespace: str | None = "ann") -> None:
    hub.house.catalog.trusted_signers.add(namespace, "release key", pem, "", None)


def test_digests_are_those_of_the_files(model: Repo, ann: TestClient) -> None:
    found = digests(ann)
    for path, content in FILES.items():
        assert found[path] == hashlib.sha256(content).hexdigest()


def test_a_signed_revision_is_verified_once_its_signer_is_trusted(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    assert ann.get(OF_MAIN.format("signatures")).json()["verdict"] == "unsigned"
    told = attach(ann, bundle_of(ann))
    assert told["verdict"] == "unknown"
    assert "not trusted" in told["signatures"][0]["reasons"][0]
    trust(hub)
    told = ann.get(OF_MAIN.format("signatures")).json()
    assert (told["verdict"], told["signers"]) == ("verified", ["release key"])
    assert "release key" in ann.get("/ann/m").text
    hub.house.catalog.trusted_signers.remove("ann", "release key", None)
    assert ann.get(OF_MAIN.format("signatures")).json()["verdict"] == "unknown"


def test_a_signer_of_another_namespace_is_not_trusted_in_this_one(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub, namespace="bob")
    assert attach(ann, bundle_of(ann))["verdict"] == "unknown"
    trust(hub, namespace=None)
    assert ann.get(OF_MAIN.format("signatures")).json()["verdict"] == "verified"


def test_a_bundle_is_given_back_as_it_was_sent_and_kept_once(model: Repo, ann: TestClient) -> None:
    content = bundle_of(ann)
    (one,) = attach(ann, content)["signatures"]
    assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(attach(ann, content, 200)["signatures"]) == 1
    assert ann.get(OF_MAIN.format(f"bundle/{one['sha256']}")).content == content
    assert ann.get(OF_MAIN.format("bundle/" + "0" * 64)).status_code == 404


def test_a_bundle_of_other_files_is_refused_and_they_are_named(
    model: Repo, ann: TestClient
) -> None:
    content = bundle_of(ann)
    model.put("config.json", b"{ }")
    model.put("new.bin", b"x")
    told = attach(ann, content, 400)["error"]
    assert "changed: config.json" in told and "added: new.bin" in told


def test_a_bundle_of_the_revision_before_says_nothing_of_this_one(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub)
    before = model.head()
    attach(ann, bundle_of(ann))
    model.put("new.bin", b"x")
    assert ann.get(OF_MAIN.format("signatures")).json()["verdict"] == "unsigned"
    old = ann.get(f"/api/cairn/models/ann/m/signatures/{before}").json()
    assert (old["commit"], old["verdict"]) == (before, "verified")


def test_a_file_that_the_signer_left_out_is_refused(model: Repo, ann: TestClient) -> None:
    signed = {path: one for path, one in digests(ann).items() if path != "weights.bin"}
    hiding = SignedManifest("m", signed, ignored=("weights.bin",))
    told = attach(ann, SIGNER.sign(hiding.statement()).as_bytes(), 400)["error"]
    assert "not signed: weights.bin" in told


def test_a_signature_forged_for_a_trusted_key_is_refused(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub)
    forged = json.loads(bundle_of(ann, Signer(new_key())))
    hint = keys.fingerprint(SIGNER.key.public_key())
    forged["verificationMaterial"]["publicKey"]["hint"] = hint
    assert "not valid" in attach(ann, json.dumps(forged).encode(), 400)["error"]


def test_a_bundle_changed_in_the_database_is_invalid(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub)
    attach(ann, bundle_of(ann))
    with hub.house.catalog.database.write() as connection:
        connection.execute(update(attachments).values(content=b"x\x9c\x03\x00\x00\x00\x00\x01"))
    told = ann.get(OF_MAIN.format("signatures")).json()
    assert told["verdict"] == "invalid"
    assert "signature invalid" in ann.get("/ann/m").text


def test_files_hashed_by_something_else_cannot_be_compared(model: Repo, ann: TestClient) -> None:
    manifest = SignedManifest("m", {"a": "ab" * 32}, "blake3")
    told = attach(ann, SIGNER.sign(manifest.statement()).as_bytes(), 400)["error"]
    assert "blake3" in told


@pytest.mark.parametrize(
    ("who", "status"), [(None, 401), ("bob", 403), ("ann-reader", 403), ("ann", 201)]
)
def test_only_who_may_write_to_the_repo_attaches_to_it(
    hub: Hub, model: Repo, ann: TestClient, who: str | None, status: int
) -> None:
    attach(hub.client(who), bundle_of(ann), status)


def test_signatures_of_a_private_repo_are_not_told_to_others(hub: Hub, ann: TestClient) -> None:
    Repo(ann, "ann/m").create(private=True).put("x", b"1")
    attach(ann, bundle_of(ann))
    for what in ("digests", "signatures", "bundle/" + "0" * 64):
        assert hub.client("bob").get(OF_MAIN.format(what)).status_code == 404


def test_a_padded_bundle_is_refused(model: Repo, ann: TestClient) -> None:
    content = bundle_of(ann)
    assert "for these files" in attach(ann, content + b" " * 100_000, 413)["error"]
    attach(ann, content + b" " * 10_000)


def test_a_bundle_of_a_thousand_files_with_long_names_fits(ann: TestClient) -> None:
    repo = Repo(ann).create()
    folder = "\u4e2d" * 80
    names = [f"{folder}/{number}" for number in range(1000)]
    assert repo.commit(*(repo.file(name, b"x") for name in names)).status_code == 200
    indented = json.dumps(json.loads(bundle_of(ann)), indent=4).encode()
    assert attach(ann, indented)["verdict"] == "unknown"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 60_000])
def test_what_is_no_bundle_is_refused(model: Repo, ann: TestClient, content: bytes) -> None:
    attach(ann, content, 400)


def test_the_page_says_what_was_signed_by_whom(hub: Hub, model: Repo, ann: TestClient) -> None:
    assert ">unsigned</a>" in ann.get("/ann/m").text
    attach(ann, bundle_of(ann, Signer(new_key())))
    assert "signer unknown" in ann.get("/ann/m").text
    trust(hub)
    attach(ann, bundle_of(ann))
    page = ann.get("/ann/m").text
    assert "verified: release key" in page
    assert "attached by ann" in page


def test_an_imported_signature_is_shown_as_none_that_an_account_here_attached(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    catalog = hub.house.catalog
    record = catalog.repos.get(RepoId.parse(RepoType.MODEL, "ann/m"))
    commit = catalog.history.resolve(record.uid, "main").id
    bundle = bundle_of(ann)
    digest = Digest.sha256(hashlib.sha256(bundle).hexdigest())
    sent = Attachment("signature", digest, bundle, "ann", hub.house.clock())
    assert catalog.attachments.take(record, commit, sent)
    (told,) = ann.get(OF_MAIN.format("signatures")).json()["signatures"]
    assert told["imported"] and told["sender"] == "ann"
    page = ann.get("/ann/m").text
    assert "imported, attached elsewhere by ann" in page and ", attached by ann" not in page
