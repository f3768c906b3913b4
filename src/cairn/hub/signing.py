"""What the hub signs: URLs that carry their own permission, and opaque tokens.

HF clients send LFS uploads without an Authorization header, so the URL itself must
prove what was allowed: this method, this path, these claims, until this time.
A URL ends in `?claims=<base64url JSON>&signature=<base64url HMAC-SHA256>`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping

from cairn.errors import ForbiddenError, UnauthenticatedError

Claims = Mapping[str, str | int]

MAX_CLAIMS_CHARS = 8192  # longer query strings than this are never ours


class Signer:
    """Signs and checks with one secret key; every replica holds the same one."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        """`key` should hold at least 32 random bytes; `clock` gives Unix seconds."""
        if len(key) < 16:
            raise ValueError("a signing key needs at least 16 bytes")
        self._key = key
        self._clock = clock

    def url_query(self, method: str, path: str, claims: Claims, ttl_s: float) -> str:
        """The query string that makes `method path` valid for `ttl_s` seconds."""
        body = self._encode(claims, int(self._clock() + ttl_s))
        return f"claims={body}&signature={self._mac('url', method, path, body)}"

    def check_url(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, str | int]:
        """The claims of a signed URL.

        Raises:
            ForbiddenError: no signature, a foreign one, or it has expired.
        """
        body, given = query.get("claims", ""), query.get("signature", "")
        if not self._matches(given, self._mac("url", method, path, body)):
            raise ForbiddenError("this URL is not signed by this hub for this request; ask again")
        claims = self._decode(body)
        if self._expired(claims):
            raise ForbiddenError("this signed URL has expired; ask for a new one")
        return claims

    def token(self, purpose: str, claims: Claims, expires_at: int) -> str:
        """An opaque token for `purpose`, valid until `expires_at` (Unix seconds)."""
        body = self._encode(claims, expires_at)
        return f"{body}.{self._mac('token', purpose, '', body)}"

    def check_token(self, purpose: str, token: str) -> dict[str, str | int]:
        """The claims of a token; `exp` (Unix seconds) is among them.

        Raises:
            UnauthenticatedError: not issued by this hub for this purpose, or expired.
        """
        body, _, given = token.partition(".")
        if not self._matches(given, self._mac("token", purpose, "", body)):
            raise UnauthenticatedError("the access token is not one this hub issued")
        claims = self._decode(body)
        if self._expired(claims):
            raise UnauthenticatedError("the access token has expired; ask for a new one")
        return claims

    def name(self, purpose: str, text: str) -> str:
        """A stable name for `text` that only holders of the key can make (43 URL-safe chars)."""
        return self._mac("name", purpose, text)

    def _mac(self, *parts: str) -> str:
        # Each part is preceded by its length: no two different tuples give the same message.
        message = b"".join(
            len(raw).to_bytes(8, "big") + raw
            for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
        )
        digest = hmac.new(self._key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @staticmethod
    def _matches(given: str, wanted: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())

    @staticmethod
    def _encode(claims: Claims, expires_at: int) -> str:
        text = json.dumps({**claims, "exp": expires_at}, separators=(",", ":"), sort_keys=True)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @staticmethod
    def _decode(body: str) -> dict[str, str | int]:
        if len(body) > MAX_CLAIMS_CHARS:
            raise ForbiddenError("the signed claims are too long to be ours")
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError):
            raise ForbiddenError("the signed claims cannot be read") from None
        return dict(claims)

    def _expired(self, claims: Mapping[str, str | int]) -> bool:
        return int(claims.get("exp", 0)) <= self._clock()
