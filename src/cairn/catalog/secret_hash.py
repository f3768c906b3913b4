"""What is kept of the secrets this hub makes: tokens and cookies."""

import hashlib


def secret_hash(plaintext: str) -> bytes:
    """A plain SHA-256 is enough: the secret has 256 random bits, nothing to guess."""
    return hashlib.sha256(plaintext.encode(errors="surrogatepass")).digest()
