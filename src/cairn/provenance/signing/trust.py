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
from cairn.provenance.signing.bundles import (
    Bundle,
    CertificateChain,
    KeyHint,
    Material,
    SigstoreIdentity,
)
from cairn.provenance.signing.certificates import (
    Certificate,
    certificate_fingerprint,
    identities,
    read_certificates,
    why_not_issued,
)
from cairn.provenance.signing.keyless import TrustedIdentity, why_not_by


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


Trusted = TrustedKey | TrustedRoot | TrustedIdentity


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
        case SigstoreIdentity(certificate, content):
            accounts = [one for one in trusted if isinstance(one, TrustedIdentity)]
            return _check_identity(bundle, certificate, content, accounts)


def described(material: Material) -> str:
    """Whom a bundle names as its signer; nobody has checked it."""
    match material:
        case KeyHint(fingerprint):
            return f"key {fingerprint[:16]}" if fingerprint else "a key without a name"
        case CertificateChain(certificates):
            return ", ".join(identities(certificates[0])) or "a certificate without a name"
        case SigstoreIdentity(certificate, _):
            return ", ".join(identities(certificate)) or "a Sigstore identity without a name"


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
    if (wrong := _why_invalid(bundle, chain[0], who)) is not None:
        return wrong
    reason = "no root certificate is trusted"
    for root in roots:
        why = why_not_issued(chain, root.certificate, at)
        if why is None and root.identity in ("", *identities(chain[0])):
            return SignatureCheck(Standing.TRUSTED, f"{who} ({root.name})")
        reason = why or f"{who} may not sign, only {root.identity}"
    return SignatureCheck(Standing.UNKNOWN, who, reason)


def _check_identity(
    bundle: Bundle, certificate: Certificate, content: bytes, accounts: list[TrustedIdentity]
) -> SignatureCheck:
    who = described(bundle.material)
    if (wrong := _why_invalid(bundle, certificate, who)) is not None:
        return wrong
    reason = f"{who} is a Sigstore identity, and none is trusted"
    for one in accounts:
        why = why_not_by(one, bundle, content)
        if why is None:
            return SignatureCheck(Standing.TRUSTED, f"{one.identity} ({one.name})")
        reason = why
    return SignatureCheck(Standing.UNKNOWN, who, reason)


def _why_invalid(bundle: Bundle, certificate: Certificate, who: str) -> SignatureCheck | None:
    try:
        key = keys.usable(certificate.public_key(), who)
    except (RequestError, ValueError):
        return SignatureCheck(Standing.INVALID, who, "its certificate is for a key of another kind")
    if not _is_by(key, bundle):
        return SignatureCheck(Standing.INVALID, who, "the signature is not that of its certificate")
    return None


def _is_by(key: keys.PublicKey, bundle: Bundle) -> bool:
    return keys.has_signed(key, bundle.envelope.signed_bytes, bundle.envelope.signature)


def read_trusted(content: bytes, name: str, identity: str = "", issuer: str = "") -> Trusted:
    """A public key or a root certificate from a PEM file, or an identity with a Sigstore root.

    JSON is taken for such a root; `keyless.check_root` says whether it is one.

    Raises:
        RequestError: it holds none of them, more than one certificate, or a name is missing or is
            one it cannot have: keys have no identity, only Sigstore identities have an issuer.
    """
    if content.lstrip().startswith(b"{"):
        return TrustedIdentity(name, content.decode(errors="replace"), identity, issuer)
    if issuer:
        raise RequestError(f"{name}: only a Sigstore trusted root (JSON) goes with an issuer")
    if b"BEGIN CERTIFICATE" not in content:
        if identity:
            raise RequestError(f"{name}: a key has no identity; name one with a root certificate")
        return TrustedKey(name, keys.read_public_key(content, name))
    certificates = read_certificates(content, name)
    if len(certificates) != 1:
        raise RequestError(f"{name}: {len(certificates)} certificates; give one root at a time")
    return TrustedRoot(name, certificates[0], identity)
