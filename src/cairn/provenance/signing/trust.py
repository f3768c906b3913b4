"""Whom a verifier trusts, and whether a bundle is signed by one of them.

What a bundle says about its signer counts for nothing by itself: a key must be one the verifier
has, a certificate must lead to a root the verifier has. What cannot be checked is not trusted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cairn.errors import RequestError
from cairn.provenance.signing import keys
from cairn.provenance.signing.bundles import Bundle, CertificateChain, KeyHint, Material
from cairn.provenance.signing.certificates import (
    Certificate,
    certificate_fingerprint,
    identities,
    read_certificates,
    why_not_issued,
)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key that may sign, and what the verifier calls it."""

    name: str
    key: keys.PublicKey

    @property
    def fingerprint(self) -> str:
        """What bundles name it by."""
        return keys.fingerprint(self.key)


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """A root certificate, and whose certificates from it may sign; empty: all of them."""

    name: str
    certificate: Certificate
    identity: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return certificate_fingerprint(self.certificate)


Trusted = TrustedKey | TrustedRoot


class Standing(Enum):
    """What a verifier makes of a signature."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Who signed, as far as it was checked; `reason` says why the signer is not trusted."""

    standing: Standing
    signer: str
    reason: str = ""


def check_signature(bundle: Bundle, trusted: Iterable[Trusted], at: datetime) -> SignatureCheck:
    """Whether somebody trusted signed the bundle; certificates must be valid at that moment.

    Unknown is a signer who is not trusted; invalid is a signature that is not that of the key it
    names, whoever that is.
    """
    match bundle.material:
        case KeyHint(fingerprint):
            known = [one for one in trusted if isinstance(one, TrustedKey)]
            return _check_key(bundle, fingerprint, known)
        case CertificateChain(certificates):
            roots = [one for one in trusted if isinstance(one, TrustedRoot)]
            return _check_chain(bundle, certificates, roots, at)
        case _:
            return SignatureCheck(
                Standing.UNKNOWN,
                described(bundle.material),
                "signatures of Sigstore identities are not checked here; sign with a key or a"
                " certificate",
            )


def described(material: Material) -> str:
    """Whom a bundle names as its signer; nobody has checked it."""
    match material:
        case KeyHint(fingerprint):
            return f"key {fingerprint[:16]}" if fingerprint else "a key without a name"
        case CertificateChain(certificates):
            return ", ".join(identities(certificates[0])) or "a certificate without a name"
        case _:
            return "a Sigstore identity"


def _check_key(bundle: Bundle, fingerprint: str | None, known: list[TrustedKey]) -> SignatureCheck:
    named = [one for one in known if fingerprint in (None, one.fingerprint)]
    for one in named:
        if _is_by(one.key, bundle):
            return SignatureCheck(Standing.TRUSTED, one.name)
    who = described(bundle.material)
    if named and fingerprint is not None:
        return SignatureCheck(
            Standing.INVALID, who, "the signature is not that of the key it names"
        )
    return SignatureCheck(Standing.UNKNOWN, who, f"{who} is not trusted")


def _check_chain(
    bundle: Bundle, chain: tuple[Certificate, ...], roots: list[TrustedRoot], at: datetime
) -> SignatureCheck:
    who = described(bundle.material)
    try:
        key = keys.usable(chain[0].public_key(), who)
    except (RequestError, ValueError):
        return SignatureCheck(Standing.INVALID, who, "its certificate is for a key of another kind")
    if not _is_by(key, bundle):
        return SignatureCheck(Standing.INVALID, who, "the signature is not that of its certificate")
    reason = "no root certificate is trusted"
    for root in roots:
        why = why_not_issued(chain, root.certificate, at)
        if why is None and root.identity in ("", *identities(chain[0])):
            return SignatureCheck(Standing.TRUSTED, f"{who} ({root.name})")
        reason = why or f"{who} may not sign, only {root.identity}"
    return SignatureCheck(Standing.UNKNOWN, who, reason)


def _is_by(key: keys.PublicKey, bundle: Bundle) -> bool:
    return keys.has_signed(key, bundle.envelope.signed_bytes, bundle.envelope.signature)


def read_trusted(pem: bytes, name: str, identity: str = "") -> Trusted:
    """A public key or a root certificate from a PEM file.

    Raises:
        RequestError: it holds neither, more than one certificate, or an identity is named for a
            key, which has none.
    """
    if b"BEGIN CERTIFICATE" not in pem:
        if identity:
            raise RequestError(f"{name}: a key has no identity; name one with a root certificate")
        return TrustedKey(name, keys.read_public_key(pem, name))
    certificates = read_certificates(pem, name)
    if len(certificates) != 1:
        raise RequestError(f"{name}: {len(certificates)} certificates; give one root at a time")
    return TrustedRoot(name, certificates[0], identity)
