"""Statements on how a revision was built: attached, checked and shown as what they are."""

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from cairn.catalog.schema import attachments
from cairn.provenance.signing import BuildInput, BuildProvenance, InputRole, Signer, keys
from cairn.workflows.attesting import attest
from tests.hub.conftest import Hub, Repo
from tests.provenance.models import new_key

OF_MAIN = "/api/cairn/models/ann/m/{}/main"
SIGNER = Signer(new_key())
BASE = BuildInput(InputRole.BASE, "https://hub.example.org/<b>base</b>", {"sha256": "ab" * 32})
BUILT = BuildProvenance("https://ci.example.org/train", "urn:cairn:build", (BASE,), {"epochs": "3"})


@pytest.fixture
def model(repo: Repo) -> Repo:
    repo.put("README.md", b"# m\n")
    return repo


def bundle(client: TestClient, **other: str) -> bytes:
    digests = client.get(OF_MAIN.format("digests")).json()["sha256"]
    return attest(BUILT, {**digests, **other}, SIGNER).as_bytes()


def attach(client: TestClient, content: bytes, status: int = 201) -> dict:
    answer = client.post(OF_MAIN.format("signatures"), content=content)
    assert answer.status_code == status, answer.text
    return answer.json()


def trust(hub: Hub) -> None:
    pem = keys.public_pem(SIGNER.key.public_key()).decode()
    hub.house.catalog.trusted_signers.add("ann", "ci", pem, "", None)


def test_what_is_stated_of_a_build_is_told_and_is_no_signature(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub)
    assert attach(ann, bundle(ann))["verdict"] == "unsigned"
    (told,) = ann.get(OF_MAIN.format("provenance")).json()["attestations"]
    assert (told["bundle"]["verdict"], told["bundle"]["signer"]) == ("verified", "ci")
    assert told["build"]["evidence"] == "attested"
    assert told["build"]["builder"] == BUILT.builder
    assert told["build"]["inputs"] == [
        {"role": "base", "uri": BASE.uri, "digests": dict(BASE.digests)}
    ]
    assert (told["build"]["parameters"], told["build"]["files"]) == ({"epochs": "3"}, 2)


def test_the_page_shows_it_and_nothing_in_it_is_markup(model: Repo, ann: TestClient) -> None:
    attach(ann, bundle(ann))
    page = ann.get("/ann/m").text.replace("<wbr>", "")
    assert "Built from" in page and "https://ci.example.org/" in page
    assert "<b>base</b>" not in page and "&lt;b&gt;base" in page


def test_a_statement_on_files_that_are_not_there_is_refused(model: Repo, ann: TestClient) -> None:
    told = attach(ann, bundle(ann, **{"other.bin": "cd" * 32}), 400)["error"]
    assert "not as it was built: other.bin" in told


def test_a_statement_kept_as_a_signature_does_not_make_a_revision_verified(
    hub: Hub, model: Repo, ann: TestClient
) -> None:
    trust(hub)
    attach(ann, bundle(ann))
    with hub.house.catalog.database.write() as connection:
        connection.execute(update(attachments).values(kind="signature"))
    told = ann.get(OF_MAIN.format("signatures")).json()
    assert told["verdict"] == "invalid"
    assert told["signatures"][0]["reasons"] == ["it is no signature"]
