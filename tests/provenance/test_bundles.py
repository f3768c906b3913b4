"""Bundles: those of the reference library are read, malformed ones refused with a reason."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from cairn.errors import MalformedError, NamingError, RequestError
from cairn.provenance.signing import (
    SignedManifest,
    Signer,
    Standing,
    check_signature,
    keys,
    read_bundle,
    read_manifest,
    read_trusted,
)
from tests.provenance.models import CONTENT, LIBRARY, NOW, new_key

DIGEST = "ab" * 32


@pytest.mark.parametrize(("kind", "trust"), [("key", "key.pub"), ("certificate", "root.pem")])
def test_signatures_of_the_reference_library_are_verified(kind: str, trust: str) -> None:
    bundle = read_bundle((LIBRARY / f"{kind}.bundle.json").read_bytes(), kind)
    assert read_manifest(bundle.statement, kind).digests.keys() == CONTENT.keys()
    trusted = read_trusted((LIBRARY / trust).read_bytes(), "library")
    assert check_signature(bundle, [trusted], NOW).standing is Standing.TRUSTED


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_a_changed_statement_is_not_what_was_signed(kind: str) -> None:
    value = json.loads((LIBRARY / f"{kind}.bundle.json").read_bytes())
    payload = base64.b64decode(value["dsseEnvelope"]["payload"])
    changed = payload.replace(b"sub/weights.bin", b"sub/weighty.bin")
    value["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    bundle = read_bundle(json.dumps(value).encode(), kind)
    trusted = [
        read_trusted((LIBRARY / name).read_bytes(), "library") for name in ("key.pub", "root.pem")
    ]
    assert check_signature(bundle, trusted, NOW).standing is Standing.INVALID


def bundle_value() -> dict[str, Any]:
    return json.loads((LIBRARY / "key.bundle.json").read_bytes())


def without(name: str) -> Callable[[dict], None]:
    return lambda value: value.pop(name)


def with_envelope(**fields: Any) -> Callable[[dict], None]:
    return lambda value: value["dsseEnvelope"].update(fields)


def with_material(**fields: Any) -> Callable[[dict], None]:
    return lambda value: value.update(verificationMaterial=fields)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("mediaType"), "mediaType"),
        (without("dsseEnvelope"), "dsseEnvelope"),
        (without("verificationMaterial"), "verificationMaterial"),
        (with_envelope(signatures=[]), "exactly one signature"),
        (with_envelope(signatures=[{"sig": "AA=="}] * 2), "exactly one signature"),
        (with_envelope(signatures=[{"sig": ""}]), "sig is not base64"),
        (with_envelope(payload="no base64!"), "payload is not base64"),
        (with_envelope(payloadType="text/plain"), "text/plain"),
        (with_envelope(payload=base64.b64encode(b"[]").decode()), "statement is not a JSON"),
        (with_envelope(payload=base64.b64encode(b"{").decode()), "statement is not JSON"),
        (with_material(), "exactly one of"),
        (with_material(publicKey={}, certificate={}), "exactly one of"),
        (with_material(publicKey={"hint": 7}), "hint"),
        (with_material(x509CertificateChain={"certificates": []}), "certificates"),
        (
            with_material(x509CertificateChain={"certificates": [{"rawBytes": "AA=="}]}),
            "X.509",
        ),
        (with_material(certificate={"rawBytes": "AA=="}), "log entry"),
    ],
)
def test_a_malformed_bundle_is_refused_with_the_reason(
    change: Callable[[dict], None], words: str
) -> None:
    value = bundle_value()
    change(value)
    with pytest.raises(MalformedError, match=words):
        read_bundle(json.dumps(value).encode(), "model.sig")


def test_a_key_named_twice_is_refused() -> None:
    text = (
        (LIBRARY / "key.bundle.json")
        .read_text()
        .replace('{"mediaType"', '{"mediaType":1,"mediaType"')
    )
    with pytest.raises(MalformedError, match="twice"):
        read_bundle(text.encode(), "model.sig")


def statement_with(**predicate: Any) -> Any:
    usual = SignedManifest("m", {"a": DIGEST}).statement()
    changed = {**usual.predicate, **predicate}
    return type(usual)(usual.subjects, usual.predicate_type, changed)


def resource(name: object, digest: object = DIGEST, algorithm: str = "sha256") -> dict:
    return {"name": name, "digest": digest, "algorithm": algorithm}


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        ({"resources": None}, "not a list"),
        ({"resources": [resource("a"), resource("a")]}, "twice"),
        ({"resources": [resource("a", DIGEST.upper())]}, "no sha256 digest"),
        ({"resources": [resource("a", "ab")]}, "no sha256 digest"),
        ({"resources": [resource("a", algorithm="md5")]}, "not hashed by sha256"),
        ({"resources": [resource(3)]}, "no name"),
        ({"resources": []}, "add up to"),
        ({"resources": [resource("../a")]}, "not relative and normal"),
        ({"resources": [resource("/a")]}, "not relative and normal"),
        ({"resources": [resource("a\x00")]}, "not relative and normal"),
        ({"serialization": {"method": "shards", "hash_type": "sha256"}}, "shards"),
        ({"serialization": {"method": "files", "hash_type": "md5"}}, "md5"),
        (
            {"serialization": {"method": "files", "hash_type": "sha256", "ignore_paths": "sub"}},
            "ignore_paths",
        ),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(predicate: dict, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        read_manifest(statement_with(**predicate), "model.sig")


def test_a_statement_about_something_else_is_no_model_signature() -> None:
    usual = SignedManifest("m", {"a": DIGEST}).statement()
    other = type(usual)(usual.subjects, "https://example.org/other", usual.predicate)
    with pytest.raises(MalformedError, match="not a model signature"):
        read_manifest(other, "model.sig")


def test_nothing_cannot_be_signed() -> None:
    with pytest.raises(NamingError, match="no file"):
        SignedManifest("m", {})


def test_a_key_is_known_by_its_name_in_the_bundle_and_not_believed_for_it() -> None:
    known, other = new_key(), new_key()
    statement = SignedManifest("m", {"a": DIGEST}).statement()
    forged = json.loads(Signer(other).sign(statement).as_bytes())
    hint = keys.fingerprint(known.public_key())
    forged["verificationMaterial"]["publicKey"]["hint"] = hint
    bundle = read_bundle(json.dumps(forged).encode(), "forged")
    trusted = [read_trusted(keys.public_pem(known.public_key()), "known")]
    assert check_signature(bundle, trusted, NOW).standing is Standing.INVALID


def test_a_bundle_without_a_name_of_its_key_is_tried_with_every_key() -> None:
    key = new_key()
    value = json.loads(Signer(key).sign(SignedManifest("m", {"a": DIGEST}).statement()).as_bytes())
    value["verificationMaterial"]["publicKey"] = {"rawBytes": "AA=="}
    bundle = read_bundle(json.dumps(value).encode(), "old")
    trusted = [
        read_trusted(keys.public_pem(one.public_key()), name)
        for name, one in (("other", new_key()), ("known", key))
    ]
    assert check_signature(bundle, trusted, NOW).signer == "known"
    assert check_signature(bundle, trusted[:1], NOW).standing is Standing.UNKNOWN


@pytest.mark.parametrize("curve", ["SECP256R1", "SECP384R1", "SECP521R1"])
def test_every_curve_of_the_specification_signs(curve: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(getattr(ec, curve)())
    signature = keys.sign(key, b"message")
    assert keys.has_signed(key.public_key(), b"message", signature)
    assert not keys.has_signed(key.public_key(), b"massage", signature)


@pytest.mark.parametrize(
    ("pem", "words"),
    [(b"", "no public key"), (b"-----BEGIN CERTIFICATE-----", "no certificates")],
)
def test_a_file_without_key_or_certificate_is_refused(pem: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_trusted(pem, "file.pem")


def test_a_private_key_where_a_public_one_belongs_is_said_so() -> None:
    with pytest.raises(RequestError, match="private one"):
        read_trusted(keys.private_pem(new_key(), None), "file.pem")
