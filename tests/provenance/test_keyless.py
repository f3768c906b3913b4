"""Signatures without a key of one's own, made and checked with a local Sigstore instance."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cairn.errors import (
    MalformedError,
    MissingExtraError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.provenance.signing import (
    SignatureCheck,
    SignedManifest,
    Standing,
    TrustedIdentity,
    check_root,
    check_signature,
    read_bundle,
    read_trusted,
)
from cairn.workflows.signing_keyless import KeylessSigner
from tests.provenance.local_sigstore import ANN, ISSUER, LocalSigstore, b64, serving
from tests.provenance.models import LIBRARY, NOW

STATEMENT = SignedManifest("m", {"weights.bin": "ab" * 32}).statement()


@pytest.fixture(scope="module")
def instance() -> Iterator[LocalSigstore]:
    with serving(LocalSigstore()) as served:
        yield served


@pytest.fixture(scope="module")
def config(instance: LocalSigstore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sigstore") / "client_trust_config.json"
    path.write_text(json.dumps(instance.client_config()))
    return path


@pytest.fixture(scope="module")
def signed(instance: LocalSigstore, config: Path) -> bytes:
    return KeylessSigner(config, instance.token()).sign(STATEMENT).as_bytes()


def trusted(instance: LocalSigstore, identity: str = ANN, issuer: str = ISSUER) -> TrustedIdentity:
    root = json.dumps(instance.trusted_root()).encode()
    found = read_trusted(root, "company", identity, issuer)
    assert isinstance(found, TrustedIdentity)
    check_root(found)
    return found


def check(content: bytes, *known: TrustedIdentity) -> SignatureCheck:
    return check_signature(read_bundle(content, "bundle"), known, NOW)


def test_an_account_signs_and_is_believed_by_whoever_trusts_it(
    instance: LocalSigstore, signed: bytes
) -> None:
    found = check(signed, trusted(instance))
    assert found.standing is Standing.TRUSTED
    assert found.signer == "ann@example.org (company)"
    assert read_bundle(signed, "bundle").statement == STATEMENT


def test_a_bundle_is_written_as_it_came(signed: bytes) -> None:
    assert read_bundle(signed, "bundle").as_bytes() == signed


@pytest.mark.parametrize(
    ("identity", "issuer"), [("bob@example.org", ISSUER), (ANN, "https://elsewhere.example.org")]
)
def test_another_account_and_another_provider_are_strangers(
    instance: LocalSigstore, signed: bytes, identity: str, issuer: str
) -> None:
    found = check(signed, trusted(instance, identity, issuer))
    assert found.standing is Standing.UNKNOWN
    assert found.signer == ANN


def test_another_instance_vouches_for_nobody_here(signed: bytes) -> None:
    assert check(signed, trusted(LocalSigstore())).standing is Standing.UNKNOWN


def test_without_a_trusted_identity_nobody_is_believed(signed: bytes) -> None:
    found = check(signed)
    assert found.standing is Standing.UNKNOWN
    assert "none is trusted" in found.reason


def of_another_tree(entry: dict) -> None:
    entry["inclusionProof"]["hashes"][0] = b64(bytes(32))


def of_another_moment(entry: dict) -> None:
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 3)


def long_after(entry: dict) -> None:
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 86400)


def of_another_file(entry: dict) -> None:
    body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    body["spec"]["payloadHash"]["value"] = "00" * 32
    entry["canonicalizedBody"] = b64(json.dumps(body).encode())


def with_a_checkpoint_of_nobody(entry: dict) -> None:
    proof = entry["inclusionProof"]["checkpoint"]
    proof["envelope"] = proof["envelope"].replace("\n3\n", "\n4\n")


def without_a_proof(entry: dict) -> None:
    del entry["inclusionProof"]


@pytest.mark.parametrize(
    "tamper",
    [
        of_another_tree,
        of_another_moment,
        long_after,
        of_another_file,
        with_a_checkpoint_of_nobody,
        without_a_proof,
    ],
)
def test_a_log_entry_that_proves_nothing_is_found(
    instance: LocalSigstore, signed: bytes, tamper: Callable[[dict], None]
) -> None:
    value = json.loads(signed)
    tamper(value["verificationMaterial"]["tlogEntries"][0])
    changed = json.dumps(value).encode()
    assert changed != signed
    found = check(changed, trusted(instance))
    assert found.standing is Standing.UNKNOWN
    assert "not proved" in found.reason


def test_a_statement_signed_by_nobody_is_invalid(instance: LocalSigstore, signed: bytes) -> None:
    value = json.loads(signed)
    payload = base64.b64decode(value["dsseEnvelope"]["payload"])
    value["dsseEnvelope"]["payload"] = b64(payload.replace(b"weights", b"Weights"))
    found = check(json.dumps(value).encode(), trusted(instance))
    assert found.standing is Standing.INVALID


def test_a_certificate_without_a_log_entry_is_malformed(signed: bytes) -> None:
    value = json.loads(signed)
    value["verificationMaterial"]["tlogEntries"] = []
    with pytest.raises(MalformedError, match="without a log entry"):
        read_bundle(json.dumps(value).encode(), "bundle")


def test_the_keys_of_others_say_nothing_about_an_account(
    instance: LocalSigstore, signed: bytes
) -> None:
    keys = [read_trusted((LIBRARY / name).read_bytes(), name) for name in ("key.pub", "root.pem")]
    assert check_signature(read_bundle(signed, "b"), keys, NOW).standing is Standing.UNKNOWN


@pytest.mark.parametrize(("identity", "issuer"), [("", ISSUER), (ANN, "")])
def test_everybody_with_an_account_is_nobody(
    instance: LocalSigstore, identity: str, issuer: str
) -> None:
    root = json.dumps(instance.trusted_root()).encode()
    with pytest.raises(RequestError, match="which identity may sign"):
        read_trusted(root, "company", identity, issuer)


@pytest.mark.parametrize("root", [b"{", b"{}", b'{"mediaType": "x"}', b"{" + b" " * (1 << 20)])
def test_what_is_no_trusted_root_is_refused_when_it_is_given(root: bytes) -> None:
    found = read_trusted(root, "company", ANN, ISSUER)
    assert isinstance(found, TrustedIdentity)
    with pytest.raises(RequestError, match="no Sigstore trusted root"):
        check_root(found)


def test_a_key_has_no_issuer() -> None:
    with pytest.raises(RequestError, match="goes with an issuer"):
        read_trusted((LIBRARY / "key.pub").read_bytes(), "key", "", ISSUER)


def test_an_expired_or_foreign_token_signs_nothing(instance: LocalSigstore, config: Path) -> None:
    before = len(instance.entries)
    with pytest.raises(UnauthenticatedError, match="get a new one"):
        KeylessSigner(config, instance.token(lives_s=-60)).sign(STATEMENT)
    with pytest.raises(UnauthenticatedError, match="get a new one"):
        KeylessSigner(config, "no token at all").sign(STATEMENT)
    with pytest.raises(UnavailableError, match="did not sign"):
        KeylessSigner(config, LocalSigstore().token()).sign(STATEMENT)
    assert len(instance.entries) == before


def test_an_instance_that_does_not_answer_is_said_to_be_away(tmp_path: Path) -> None:
    away = LocalSigstore()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(away.client_config()))
    with pytest.raises(UnavailableError, match="did not sign"):
        KeylessSigner(config, away.token()).sign(STATEMENT)
    config.write_text("{}")
    with pytest.raises(RequestError, match="no Sigstore client trust configuration"):
        KeylessSigner(config, away.token())


def test_without_the_library_nothing_passes(
    instance: LocalSigstore, signed: bytes, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = trusted(instance)
    monkeypatch.setitem(__import__("sys").modules, "sigstore.errors", None)
    found = check(signed, account)
    assert found.standing is Standing.UNKNOWN
    assert "cairn-hub[sigstore]" in found.reason
    with pytest.raises(MissingExtraError):
        check_root(account)
    with pytest.raises(MissingExtraError):
        KeylessSigner(config, "token")
