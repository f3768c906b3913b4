"""How passwords are hashed: argon2id, with as much memory as RFC 9106 advises, a few at a time.

RFC 9106, section 4 (https://www.rfc-editor.org/rfc/rfc9106#section-4): the second recommended
choice, for where 2 GiB a hash are too much, is 3 passes over 64 MiB in 4 lanes; OWASP's least is 2
passes over 19 MiB in one lane.
"""

import base64
import secrets
import threading
import unicodedata

from argon2 import Parameters, PasswordHasher, Type, profiles
from argon2.exceptions import InvalidHashError, VerificationError

PARAMETERS = profiles.RFC_9106_LOW_MEMORY
# 4 x 64 MiB: a flood of sign-ins waits in line instead of taking the machine's memory.
MAX_AT_ONCE = 4


class PasswordHashes:
    """Makes and checks hashes; at most `MAX_AT_ONCE` at a time, whoever calls."""

    def __init__(self, parameters: Parameters = PARAMETERS) -> None:
        if parameters.type is not Type.ID:
            raise ValueError("passwords are hashed with argon2id")
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._room = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._nobody = _hash_of_nothing(parameters)

    def make(self, password: str) -> str:
        """The hash to keep, with its salt and parameters in it."""
        with self._room:
            return self._hasher.hash(_bytes_of(password))

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; None, for who has none, takes as long and never is."""
        try:
            with self._room:
                self._hasher.verify(kept or self._nobody, _bytes_of(password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(kept)


def _hash_of_nothing(parameters: Parameters) -> str:
    """A hash that costs what others cost to check, and that no password is known for."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (parameters.salt_len, parameters.hash_len)
    )
    cost = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${cost}${salt}${digest}"


def _bytes_of(password: str) -> bytes:
    """The same bytes on whatever keyboard it is typed (SP 800-63B: normalised as NFKC)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
