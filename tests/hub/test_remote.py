"""`cairn sign`, `cairn attach` and `cairn trust` against a hub that listens."""

import json
from pathlib import Path

import pytest

from cairn.domain import RepoId, RepoType
from cairn.errors import (
    ForbiddenError,
    IntegrityError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.hub.remote import RemoteHub
from tests.cli.command import cairn
from tests.hub.conftest import LiveHub, Repo

MODEL = RepoId(RepoType.MODEL, "ann", "m")
FILES = {"config.json": b"{}", "weights.bin": b"weights"}


@pytest.fixture(scope="module")
def model(live: LiveHub) -> LiveHub:
    repo = Repo(live.hub.client("ann")).create()
    for path, content in FILES.items():
        repo.put(path, content)
    return live


@pytest.fixture
def key(tmp_path: Path) -> Path:
    cairn("sign", "--new-key", str(tmp_path / "release.key"))
    return tmp_path / "release.key"


def test_a_revision_is_signed_without_its_files_and_verified_where_it_is(
    model: LiveHub, key: Path
) -> None:
    data = model.hub.settings.data_dir
    cairn("trust", "add", "ann", f"{key}.pub", "--name", "release", data=data)
    there = ("--hub", model.url, "--token", model.hub.tokens["ann"])
    told = json.loads(cairn("sign", "ann/m", "--key", str(key), *there, "--json").stdout)
    assert told["files"] == len(FILES)
    assert told["left_out"] == [".gitattributes"]
    verified = json.loads(cairn("verify", "ann/m@main", "--json", data=data).stdout)
    assert (verified["verdict"], verified["signers"]) == ("verified", ["release"])
    (listed,) = json.loads(cairn("trust", "list", "--json", data=data).stdout)
    assert (listed["namespace"], listed["name"], listed["kind"]) == ("ann", "release", "key")
    cairn("trust", "remove", "ann", "release", data=data)
    assert "unknown" in cairn("verify", "ann/m", data=data, expect=1).stdout


def test_a_folder_is_signed_here_and_its_bundle_attached_there(
    model: LiveHub, key: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for path, content in FILES.items():
        (folder / path).write_bytes(content)
    cairn("sign", str(folder), "--key", str(key))
    there = ("--hub", model.url, "--token", model.hub.tokens["ann"])
    cairn("attach", str(folder / "model.sig"), "ann/m@main", *there)
    (folder / "config.json").write_bytes(b"[]")
    cairn("sign", str(folder), "--key", str(key), "--force")
    refused = cairn("attach", str(folder / "model.sig"), "ann/m@main", *there, expect=7)
    assert "changed: config.json" in refused.stderr


def test_the_origin_of_a_revision_is_stated_with_its_inputs(
    model: LiveHub, key: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("torch==2.13.0\n")
    there = ("--hub", model.url, "--token", model.hub.tokens["ann"])
    who = ("--key", str(key), "--builder", "https://ci.example.org/train")
    inputs = ("--base", "ann/m@main", "--environment", str(lock), "--parameter", "epochs=3")
    assert "2 inputs" in cairn("attest", "ann/m@main", *who, *inputs, *there).stdout
    told = model.hub.client("ann").get("/api/cairn/models/ann/m/provenance/main").json()
    build = told["attestations"][-1]["build"]
    assert [one["role"] for one in build["inputs"]] == ["base", "environment"]
    assert build["inputs"][0]["uri"] == f"{model.url}/ann/m"
    assert build["inputs"][0]["digests"]["gitCommit"] == told["commit"]
    assert build["parameters"] == {"epochs": "3"}
    cairn("attest", "ann/m", *who, "--parameter", "epochs", *there, expect=2)
    shown = cairn("verify", "ann/m", data=model.hub.settings.data_dir, expect=1).stdout
    assert "built by https://ci.example.org/train" in shown


def test_refusals_of_a_hub_are_errors_with_its_words(model: LiveHub) -> None:
    tokens = model.hub.tokens
    with pytest.raises(UnauthenticatedError):
        RemoteHub(model.url, "cairn_wrong").digests(MODEL, "main")
    with pytest.raises(NotFoundError, match="nope"):
        RemoteHub(model.url, tokens["ann"]).digests(MODEL, "nope")
    with pytest.raises(RequestError, match="bundle"):
        RemoteHub(model.url, tokens["ann"]).attach(MODEL, "main", b"{}")
    commit, digests = RemoteHub(model.url, None).digests(MODEL, "main")
    assert len(commit) == 40 and digests.keys() >= FILES.keys()
    from cairn.provenance.signing import Signer
    from cairn.workflows.signing import sign_digests
    from tests.provenance.models import new_key

    bundle = sign_digests("m", digests, Signer(new_key()))[0].as_bytes()
    with pytest.raises(ForbiddenError):
        RemoteHub(model.url, tokens["bob"]).attach(MODEL, commit, bundle)
    other = sign_digests("m", {"a": "ab" * 32}, Signer(new_key()))[0].as_bytes()
    with pytest.raises(IntegrityError, match="removed: a"):
        RemoteHub(model.url, tokens["ann"]).attach(MODEL, commit, other)


@pytest.mark.parametrize("url", ["hub", "file:///etc", "http://", "http://u:p@localhost"])
def test_what_is_no_address_of_a_hub_is_refused(url: str) -> None:
    with pytest.raises(RequestError):
        RemoteHub(url, None)


def test_a_hub_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        RemoteHub("http://127.0.0.1:9", None).digests(MODEL, "main")
