"""What an ID token says, once it is known to be the provider's, for us, now, and for this sign-in.

OpenID Connect Core 1.0, section 3.1.3.7 (https://openid.net/specs/openid-connect-core-1_0.html).
"""

from dataclasses import dataclass
from typing import Any

import jwt

from cairn.errors import ForbiddenError, UnauthenticatedError
from cairn.hub.oidc.provider import Provider

LEEWAY_S = 60  # clocks of two machines differ
MAX_SUBJECT_CHARACTERS = 255  # section 2: `sub` must not be longer
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


@dataclass(frozen=True, slots=True)
class Claims:
    """Who signs in, in the provider's words. Only `subject` never changes and is never reused."""

    subject: str
    user_name: str
    full_name: str
    email: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom the provider's users have to be; empty sets admit everybody."""

    user_name_claim: str
    domains: frozenset[str]
    groups: frozenset[str]
    groups_claim: str


def read_id_token(token: str, provider: Provider, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of a token that is valid for this client and this sign-in.

    Raises:
        UnauthenticatedError: it is not, with the reason.
        UnavailableError: the provider's keys cannot be fetched.
    """
    key = provider.key(token)
    try:
        # The algorithm that the key is for, whatever the token asks for.
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=client_id,
            issuer=provider.issuer,
            leeway=LEEWAY_S,
            options={"require": _REQUIRED},
        )
    except jwt.PyJWTError as error:
        raise UnauthenticatedError(f"the ID token is not valid: {error}") from None
    audience = claims["aud"]
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise UnauthenticatedError("the ID token was issued to another client")
    if not nonce or claims.get("nonce") != nonce:
        raise UnauthenticatedError("the ID token answers another sign-in")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise UnauthenticatedError("the ID token names nobody")
    return claims


def admitted(claims: dict[str, Any], admission: Admission) -> Claims:
    """Who it is, if the hub is open to them.

    Raises:
        ForbiddenError: their address or groups are not among those admitted.
    """
    email = claims.get("email")
    email = email if isinstance(email, str) and claims.get("email_verified") is True else ""
    if admission.domains and email.rpartition("@")[2].lower() not in admission.domains:
        raise ForbiddenError("this hub is open to verified addresses of other domains only")
    groups = claims.get(admission.groups_claim)
    held = {g for g in groups if isinstance(g, str)} if isinstance(groups, list) else set()
    if admission.groups and not held & admission.groups:
        raise ForbiddenError("this hub is open to members of other groups only")
    return Claims(
        claims["sub"],
        _text(claims, admission.user_name_claim),
        _text(claims, "name"),
        email,
    )


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) else ""
