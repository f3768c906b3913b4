"""Sigstore identities: a key that lived for minutes, its certificate, and a log's word on when.

The certificate says which account at which OpenID Connect provider had the key; the log's entry
proves that it signed while the certificate was valid. Both are checked against a trusted root
that the verifier has as a file (`trusted_root.json`), by the `sigstore` library and without a
network. Specification: https://docs.sigstore.dev/about/bundle/ and
the Sigstore client specification (sigstore/architecture-docs on GitHub).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from cairn.errors import MissingExtraError, RequestError
from cairn.provenance.signing.bundles import Bundle

if TYPE_CHECKING:
    from sigstore.verify import Verifier

EXTRA = "Sigstore identities need one more library: pip install 'cairn-hub[sigstore]'"
MAX_ROOT_BYTES = 1 << 20  # that of the public instance has 7 KB
_CLIENT_CONFIG = '"application/vnd.dev.sigstore.clienttrustconfig.'
# The library reads certificates and log entries lazily, so a malformed one fails as what it is.
_OF_HOSTILE_BUNDLES = (
    ArithmeticError,
    AttributeError,
    InvalidSignature,
    LookupError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    struct.error,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class TrustedIdentity:
    """An account at an OpenID Connect provider that may sign, and the root that vouches for it.

    `root` is the JSON of a Sigstore trusted root, or of a client trust configuration.
    """

    name: str
    root: str
    identity: str
    issuer: str

    def __post_init__(self) -> None:
        if not self.identity or not self.issuer:
            raise RequestError(
                f"{self.name}: a Sigstore root vouches for everybody with an account: say which"
                " identity may sign, and which issuer says who that is"
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the trusted root."""
        return hashlib.sha256(self.root.encode()).hexdigest()


def check_root(trusted: TrustedIdentity) -> None:
    """Refuse what is no trusted root; without it nothing would ever be verified.

    Raises:
        RequestError: it is none. MissingExtraError: the `sigstore` library is not installed.
    """
    errors = _library_errors()
    try:
        if len(trusted.root) > MAX_ROOT_BYTES:
            raise ValueError(f"more than {MAX_ROOT_BYTES} bytes")
        _verifier(trusted.root)
    except errors as error:
        raise RequestError(f"{trusted.name}: no Sigstore trusted root: {error}") from None


def why_not_by(trusted: TrustedIdentity, bundle: Bundle, content: bytes) -> str | None:
    """Why the bundle is not signed by that identity; None if it is.

    `content` is the bundle as it came: the log's entry and the certificate are read from there.
    """
    try:
        errors = _library_errors()
    except MissingExtraError as error:
        return str(error)
    import sigstore.models
    from sigstore.verify.policy import Identity

    policy = Identity(identity=trusted.identity, issuer=trusted.issuer)
    try:
        verifier = _verifier(trusted.root)
        _, payload = verifier.verify_dsse(sigstore.models.Bundle.from_json(content), policy)
    except errors as error:
        return f"it is not proved to be by {trusted.identity}: {error}"
    # Two readers saw one JSON: what the library verified has to be what is compared with files.
    return None if payload == bundle.envelope.payload else "its payload can be read in two ways"


def _verifier(root: str) -> "Verifier":
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot import v1

    if _CLIENT_CONFIG in root:
        return Verifier(trusted_root=ClientTrustConfig.from_json(root).trusted_root)
    return Verifier(trusted_root=TrustedRoot(v1.TrustedRoot.from_json(root)))


def _library_errors() -> tuple[type[Exception], ...]:
    """What the library raises for trusted roots and bundles that it cannot read or verify.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from sigstore.errors import Error
    except ImportError:
        raise MissingExtraError(EXTRA) from None
    return (Error, *_OF_HOSTILE_BUNDLES)
