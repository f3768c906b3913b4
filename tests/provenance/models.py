"""Small signed models, keys and certificate authorities, made anew for each test."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cairn.provenance.signing import Signer, Trusted, TrustedKey
from cairn.workflows.signing import files_to_sign, sign_files
from cairn.workflows.verifying import Tolerance, Verification, verify_files

NOW = datetime(2026, 11, 27, tzinfo=UTC)
FROM, UNTIL = NOW - timedelta(days=9), NOW + timedelta(days=9)
CONTENT = {"config.json": b"{}", "sub/weights.bin": bytes(range(16))}

LIBRARY = Path(__file__).with_name("library")
"""Signatures of `CONTENT` by model-signing 1.1.1; the key was thrown away."""


@dataclass
class SignedModel:
    """A folder, the bundle in it and who may have signed it."""

    folder: Path
    trusted: list[Trusted]

    @property
    def bundle(self) -> Path:
        return self.folder / "model.sig"

    def verify(self, *unsigned: str, follow_links: bool = False) -> Verification:
        tolerance = Tolerance((".gitattributes", ".gitignore", *unsigned), follow_links)
        return verify_files(self.folder, self.bundle, self.trusted, tolerance, NOW)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_model(folder: Path) -> Path:
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def signed_model(folder: Path, signer: Signer | None = None, algorithm: str = "sha256"):
    signer = signer or Signer(new_key())
    write_model(folder)
    bundle = sign_files(files_to_sign(folder, folder / "model.sig"), signer, algorithm, _quiet)
    (folder / "model.sig").write_bytes(bundle.as_bytes())
    return SignedModel(folder, [TrustedKey("release", signer.key.public_key())])


def _quiet(_count: int) -> None:
    return None


def certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool = False,
    until: datetime = UNTIL,
    may_sign: bool = True,
    may_issue: bool = True,
    change: Callable[[x509.CertificateBuilder], x509.CertificateBuilder] = lambda b: b,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(_usage(signs=may_sign, issues=is_ca and may_issue), critical=True)
    )
    return change(builder).sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
