"""Certificates that sign models: X.509 chains from a leaf to a root that is trusted.

Path validation is that of the `cryptography` library (RFC 5280 as the web profiles it), with other
rules for extensions: issuers must be CAs that may sign certificates, the leaf must be for
signatures (`keyUsage` digitalSignature, or `extendedKeyUsage` codeSigning).
"""

import base64
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from cairn.errors import MalformedError, RequestError

Certificate = x509.Certificate

MAX_CHAIN = 8  # certificates between leaf and root


def read_certificates(pem: bytes, source: str) -> list[Certificate]:
    """The certificates of a PEM file, in its order.

    Raises:
        RequestError: there is none, or one cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise RequestError(f"{source}: no certificates in PEM") from None


def read_certificate(der: bytes, source: str) -> Certificate:
    """One certificate of a bundle.

    Raises:
        MalformedError: it is none.
    """
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise MalformedError("a certificate is not X.509 in DER", source=source) from None


def certificate_pem(certificate: Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate_base64(certificate: Certificate) -> str:
    """The certificate as bundles hold it."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def certificate_fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the DER in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def identities(certificate: Certificate) -> list[str]:
    """Who a certificate is for: e-mail addresses, URIs and hosts, else the common name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        found: list[str] = []
    else:
        kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
        found = [name.value for name in names if isinstance(name, kinds)]
    if found:
        return found
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in common]


def why_not_issued(chain: Sequence[Certificate], root: Certificate, at: datetime) -> str | None:
    """Why the first of a chain does not come from a root; None if it does and was valid then."""
    policy = (
        PolicyBuilder()
        .store(Store([root]))
        .time(at)
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ca_policy=_issuers(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    leaf = chain[0]
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        return (
            f"its certificate is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to"
            f" {leaf.not_valid_after_utc:%Y-%m-%d} only"
        )
    if not _may_sign(leaf):
        return "its certificate is not for signatures (keyUsage digitalSignature)"
    try:
        policy.verify(leaf, list(chain[1:]))
    except VerificationError as error:
        return f"its certificate does not lead to a trusted root: {error}"
    return None


def _issuers() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_signs_certificates)
    )


def _check_signs_certificates(
    policy: Policy, issuer: Certificate, extension: x509.KeyUsage | None
) -> None:
    del policy, issuer
    if extension is not None and not extension.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _may_sign(leaf: Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if usage.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in purposes
