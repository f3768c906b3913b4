"""Bundles: an envelope, and what its signer says to verify it with, as one JSON file.

The Sigstore bundle, version 0.3, as OpenSSF Model Signing uses it: `verificationMaterial` holds
either `publicKey.hint` (SHA-256 of the public key's PEM), or `x509CertificateChain` (leaf first),
or `certificate` (Sigstore's, for a key that lived for minutes, with `tlogEntries`: see `keyless`).
Specification: https://docs.sigstore.dev/about/bundle/ and section 4 of
https://github.com/ossf/model-signing-spec/blob/main/spec/v1.0.md.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from cairn.errors import LimitError, MalformedError, RequestError
from cairn.formats.strict_json import parse_json
from cairn.provenance.signing import keys
from cairn.provenance.signing.certificates import (
    MAX_CHAIN,
    Certificate,
    certificate_base64,
    read_certificate,
)
from cairn.provenance.signing.dsse import (
    IN_TOTO_TYPE,
    Envelope,
    as_object,
    decoded,
    pre_authentication,
    read_envelope,
)
from cairn.provenance.signing.statements import Statement, read_statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BUNDLE_BYTES = 32 << 20  # 50,000 files, the most of a commit, take about 15 MB


@dataclass(frozen=True, slots=True)
class KeyHint:
    """The signer names a key by its fingerprint; None in bundles from before 2025."""

    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """The signer shows a certificate, and those between it and a root."""

    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class SigstoreIdentity:
    """The signer was vouched for by a Sigstore instance; `content` is the whole bundle."""

    certificate: Certificate
    content: bytes


Material = KeyHint | CertificateChain | SigstoreIdentity


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signed statement. Reading one verifies nothing: see `trust`."""

    envelope: Envelope
    material: Material
    statement: Statement

    def as_bytes(self) -> bytes:
        """The bundle as a file; one with a Sigstore identity as it came."""
        if isinstance(self.material, SigstoreIdentity):
            return self.material.content
        value = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": _material_json(self.material),
            "dsseEnvelope": self.envelope.as_json(),
        }
        return json.dumps(value, indent=1).encode() + b"\n"


class StatementSigner(Protocol):
    """Whoever can sign a statement."""

    def sign(self, statement: Statement) -> Bundle:
        """The statement, signed."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, and the certificates that say whose it is, leaf first.

    Raises:
        RequestError: the first certificate is for another key.
    """

    key: keys.PrivateKey
    chain: tuple[Certificate, ...] = ()

    def __post_init__(self) -> None:
        if self.chain and self.chain[0].public_key() != self.key.public_key():
            raise RequestError("the first certificate is not that of the key")

    def sign(self, statement: Statement) -> Bundle:
        """The statement, signed."""
        payload = statement.as_bytes()
        signature = keys.sign(self.key, pre_authentication(IN_TOTO_TYPE, payload))
        material = (
            CertificateChain(self.chain)
            if self.chain
            else KeyHint(keys.fingerprint(self.key.public_key()))
        )
        return Bundle(Envelope(payload, signature), material, statement)


def read_bundle(content: bytes, source: str) -> Bundle:
    """The bundle in a file; `source` names it in messages.

    Raises:
        MalformedError: it is none. LimitError: it is larger than 32 MiB.
    """
    if len(content) > MAX_BUNDLE_BYTES:
        raise LimitError(
            f"a bundle of {len(content)} bytes, at most {MAX_BUNDLE_BYTES} are read", source=source
        )
    value = as_object(parse_json(content, source, what="the bundle"), "the bundle", source)
    if value.get("mediaType") != MEDIA_TYPE:
        raise MalformedError(
            f"mediaType is {str(value.get('mediaType'))[:100]!r}, not {MEDIA_TYPE!r}", source=source
        )
    envelope = read_envelope(value.get("dsseEnvelope"), source)
    material = _material(value.get("verificationMaterial"), content, source)
    return Bundle(envelope, material, read_statement(envelope.payload, source))


def _material(value: object, whole: bytes, source: str) -> Material:
    fields = as_object(value, "verificationMaterial", source)
    kinds = fields.keys() & {"publicKey", "x509CertificateChain", "certificate"}
    if len(kinds) != 1:
        raise MalformedError(
            "verificationMaterial holds not exactly one of publicKey, x509CertificateChain and"
            " certificate",
            source=source,
        )
    (kind,) = kinds
    content = as_object(fields[kind], kind, source)
    if kind == "publicKey":
        return _key_hint(content, source)
    if kind == "certificate":
        if not fields.get("tlogEntries"):
            raise MalformedError("a Sigstore certificate without a log entry", source=source)
        return SigstoreIdentity(_certificate(content, source), whole)
    return _chain(content, source)


def _key_hint(content: dict[str, Any], source: str) -> KeyHint:
    hint = content.get("hint")
    if hint is not None and not isinstance(hint, str):
        raise MalformedError("publicKey.hint is not text", source=source)
    return KeyHint(hint or None)


def _chain(content: dict[str, Any], source: str) -> CertificateChain:
    listed = content.get("certificates")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_CHAIN + 1:
        raise MalformedError(f"want 1 to {MAX_CHAIN + 1} certificates", source=source)
    return CertificateChain(tuple(_certificate(one, source) for one in listed))


def _certificate(value: object, source: str) -> Certificate:
    raw = as_object(value, "a certificate", source).get("rawBytes")
    return read_certificate(decoded(raw, "rawBytes", source), source)


def _material_json(material: KeyHint | CertificateChain) -> dict[str, Any]:
    match material:
        case KeyHint(fingerprint):
            content: dict[str, Any] = {"publicKey": {"hint": fingerprint}}
        case CertificateChain(certificates):
            listed = [{"rawBytes": certificate_base64(one)} for one in certificates]
            content = {"x509CertificateChain": {"certificates": listed}}
    return {**content, "tlogEntries": []}
