"""Keys that sign: elliptic curves P-256, P-384 and P-521, each with the hash of its strength.

Curves and hashes: https://github.com/ossf/model-signing-spec/blob/main/algorithm-registry.md.
"""

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cairn.errors import RequestError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_WANTED = "an elliptic-curve key, P-256, P-384 or P-521"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key needs a passphrase to be read."""
    return b"ENCRYPTED" in pem


def new_private_key() -> PrivateKey:
    """A P-256 key from the system's random numbers."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """The key as PKCS #8, encrypted if there is a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def public_pem(key: PublicKey) -> bytes:
    """The key as SubjectPublicKeyInfo."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def read_private_key(pem: bytes, source: str, passphrase: bytes | None = None) -> PrivateKey:
    """The private key in a PEM file; `passphrase` only if it is encrypted.

    Raises:
        RequestError: it is no key, of another kind, or the passphrase is missing or wrong.
    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError:
        raise RequestError(f"{source}: the key is encrypted; give its passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "the passphrase is wrong, or it is" if passphrase else "it is"
        raise RequestError(f"{source}: {why} no private key in PEM; want {_WANTED}") from None
    if not isinstance(key, PrivateKey) or key.curve.name not in _HASHES:
        raise RequestError(f"{source}: a key of another kind; want {_WANTED}")
    return key


def read_public_key(pem: bytes, source: str) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        RequestError: it is no public key, or of another kind.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        hint = "; this is the private one" if b"PRIVATE KEY" in pem else ""
        raise RequestError(f"{source}: no public key in PEM{hint}; want {_WANTED}") from None
    return usable(key, source)


def usable(key: object, source: str) -> PublicKey:
    """A public key, if it is of a kind that signs models.

    Raises:
        RequestError: it is not.
    """
    if not isinstance(key, PublicKey) or key.curve.name not in _HASHES:
        raise RequestError(f"{source}: a key of another kind; want {_WANTED}")
    return key


def fingerprint(key: PublicKey) -> str:
    """SHA-256 of the key's PEM in hex: what bundles name a key by."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """An ECDSA signature in DER."""
    return key.sign(message, ec.ECDSA(_HASHES[key.curve.name]))


def has_signed(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the signature over the message is by this key."""
    try:
        key.verify(signature, message, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True
