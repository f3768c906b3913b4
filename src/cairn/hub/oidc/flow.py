"""The authorization code flow with PKCE: what is asked of the provider, and what comes back.

What must be remembered until the answer (state, nonce, verifier, where to go) is kept in a signed
cookie of this browser, so that an answer to somebody else's request is refused, and no request
leaves anything on the server. RFC 6749 section 4.1, RFC 7636, RFC 9207; RFC 9700 for what to check.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from cairn.errors import RequestError, UnauthenticatedError
from cairn.hub.oidc.fetching import fetch_json
from cairn.hub.oidc.id_token import read_id_token
from cairn.hub.oidc.provider import Provider

PENDING_S = 600
MAX_CODE_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows this hub as. Without a secret it is a public client, held by PKCE."""

    identifier: str
    secret: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in on its way; `linking` names the account that an identity is to be linked to."""

    state: str
    nonce: str
    verifier: str
    target: str
    linking: str = ""

    @classmethod
    def begin(cls, target: str, linking: str = "") -> "Pending":
        """A fresh one, with secrets nobody can guess."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, target, linking)


def authorization_url(
    provider: Provider, client: Client, pending: Pending, redirect_uri: str
) -> str:
    """Where to send the browser.

    Raises:
        UnavailableError, RequestError: see `Provider.endpoints`.
    """
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client.identifier,
        "redirect_uri": redirect_uri,
        "scope": " ".join(dict.fromkeys(("openid", *client.scopes))),
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    address = provider.endpoints().authorization
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def claims_of_answer(
    provider: Provider,
    client: Client,
    pending: Pending,
    answer: Mapping[str, str],
    redirect_uri: str,
) -> dict[str, Any]:
    """Who the provider says has signed in, in exchange for the code in its answer.

    Raises:
        UnauthenticatedError: the answer is not one to this request by this provider, the
            person was refused there, or the ID token is not valid.
        UnavailableError: the provider cannot be reached or refuses the code.
    """
    if not secrets.compare_digest(answer.get("state", "").encode(), pending.state.encode()):
        raise UnauthenticatedError("this answer belongs to another sign-in; start again")
    endpoints = provider.endpoints()
    issuer = answer.get("iss")
    if (issuer is not None or endpoints.names_itself) and issuer != provider.issuer:
        raise UnauthenticatedError("this answer is another provider's; start again")
    if "error" in answer:
        raise UnauthenticatedError(f"the provider refused: {answer['error'][:100]}")
    code = answer.get("code", "")
    if not 0 < len(code) <= MAX_CODE_CHARACTERS:
        raise RequestError("the provider's answer has no code")
    token = _redeem(endpoints.token, client, pending, code, redirect_uri)
    return read_id_token(token, provider, client.identifier, pending.nonce)


def _redeem(address: str, client: Client, pending: Pending, code: str, redirect_uri: str) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": pending.verifier,
        "client_id": client.identifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if client.secret:
        # RFC 6749, 2.3.1: both are form-encoded before they become a Basic header.
        pair = f"{quote(client.identifier, safe='')}:{quote(client.secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    token = fetch_json(address, urlencode(form).encode(), headers).get("id_token")
    if not isinstance(token, str):
        raise UnauthenticatedError("the provider sent no ID token")
    return token
