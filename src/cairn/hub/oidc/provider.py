"""What is known of the configured OpenID provider: its endpoints and its keys.

OpenID Connect Discovery 1.0 (https://openid.net/specs/openid-connect-discovery-1_0.html). Both
documents are fetched when first needed and remembered for an hour; keys also anew when a token
names one that is not among them, at most once a minute.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from cairn.errors import UnauthenticatedError, UnavailableError
from cairn.hub.oidc.fetching import check_address, fetch_json

REMEMBERED_S = 3600.0
KEYS_ASKED_EVERY_S = 60.0
# Signatures only: `none` proves nothing, and with HS256 the secret of every client would be a key
# (RFC 8725, sections 3.1 and 3.2).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses in a provider's discovery document."""

    authorization: str
    token: str
    keys: str
    names_itself: bool
    """Whether its answers carry `iss` (RFC 9207), so that another provider's are told apart."""


class Provider:
    """One provider; may be asked from any thread."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._endpoints: tuple[float, Endpoints] | None = None
        self._keys: tuple[float, dict[str, jwt.PyJWK]] | None = None

    def endpoints(self) -> Endpoints:
        """Where to go and whom to ask.

        Raises:
            UnavailableError: the provider cannot be reached, or describes another one.
            RequestError: the issuer or an address is not https.
        """
        with self._lock:
            if self._endpoints is None or self._is_old(self._endpoints[0], REMEMBERED_S):
                self._endpoints = (self._clock(), self._discover())
            return self._endpoints[1]

    def key(self, token: str) -> jwt.PyJWK:
        """The key that a token says it is signed with.

        Raises:
            UnauthenticatedError: the provider has none of this name for this algorithm.
            UnavailableError: the provider cannot be reached.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise UnauthenticatedError(f"the ID token cannot be read: {error}") from None
        algorithm, name = str(header.get("alg")), str(header.get("kid", ""))
        if algorithm not in ALGORITHMS:
            raise UnauthenticatedError(f"ID tokens signed by {algorithm[:40]!r} are not accepted")
        address = self.endpoints().keys
        with self._lock:
            found = self._find(address, name, REMEMBERED_S)
            found = found or self._find(address, name, KEYS_ASKED_EVERY_S)
        if found is None:
            raise UnauthenticatedError(f"the provider has no key {name[:80]!r}")
        return found

    def _find(self, address: str, name: str, max_age_s: float) -> jwt.PyJWK | None:
        if self._keys is None or self._is_old(self._keys[0], max_age_s):
            self._keys = (self._clock(), _keys_in(fetch_json(address)))
        known = self._keys[1]
        if not name and len(known) == 1:  # a provider with one key need not name it
            return next(iter(known.values()))
        return known.get(name)

    def _is_old(self, since: float, max_age_s: float) -> bool:
        return self._clock() - since >= max_age_s

    def _discover(self) -> Endpoints:
        base = check_address(self.issuer, "issuer").rstrip("/")
        found = fetch_json(f"{base}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise UnavailableError(
                f"the provider calls itself {str(found.get('issuer'))[:200]!r}:"
                " set CAIRN_OIDC_ISSUER to that very text"
            )
        return Endpoints(
            check_address(found.get("authorization_endpoint"), "authorization endpoint"),
            check_address(found.get("token_endpoint"), "token endpoint"),
            check_address(found.get("jwks_uri"), "address of keys"),
            found.get("authorization_response_iss_parameter_supported") is True,
        )


def _keys_in(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """Signing keys by name; those of kinds we do not know are left out."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise UnavailableError("the provider's document of keys has no list of keys")
    known: dict[str, jwt.PyJWK] = {}
    for entry in listed:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if entry.get("kty") == "oct":  # a secret is no public key
            continue
        try:
            known[str(entry.get("kid", ""))] = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    return known
