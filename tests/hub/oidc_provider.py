"""A small OpenID provider on this machine: it keeps the rules, unless a test tells it not to."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CLIENT, SECRET = "cairn", "s+cret/with:odd%characters"


class Provider:
    """Whoever comes is `user`; what it signs is changed by `claims`, `header` and `key`."""

    def __init__(self) -> None:
        self.issuer = ""
        self.user: dict[str, Any] = {"sub": "u-1", "preferred_username": "grace"}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.answer: dict[str, str] = {}
        self.algorithm = "RS256"
        self.keys: dict[str, Any] = {"first": rsa.generate_private_key(65537, 2048)}
        self.signing_key: Any = None
        self.key_fetches = 0
        self.refusals: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.discovery,
        }

    def public_keys(self) -> dict[str, Any]:
        self.key_fetches += 1
        listed = []
        for name, key in self.keys.items():
            kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
            algorithm = jwt.get_algorithm_by_name(kind)
            entry = json.loads(algorithm.to_jwk(key.public_key()))
            listed.append({**entry, "kid": name, "use": "sig", "alg": kind})
        return {"keys": listed}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        assert query["response_type"] == "code" and query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256" and "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], **self.answer}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, form: dict[str, str], authorization: str) -> dict[str, str] | None:
        """The answer for a code; None if it is refused."""
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        for rule, kept in {
            "code": asked is not None,
            "client": (unquote(user), unquote(password)) == (CLIENT, SECRET),
            "redirect": asked is not None and asked["redirect_uri"] == form.get("redirect_uri"),
            "verifier": asked is not None and asked["code_challenge"] == challenge,
        }.items():
            if not kept:
                self.refusals.append(rule)
                return None
        return {"id_token": self.id_token(asked["nonce"]), "access_token": "a", "token_type": "b"}

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.user,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        name = next(iter(self.keys))
        key = self.keys[name] if self.signing_key is None else self.signing_key
        header = {"kid": name, **self.header}
        return jwt.encode(claims, key, self.algorithm, headers=header)


def another_key(kind: str = "RS256") -> Any:
    """A key the provider does not publish."""
    if kind == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """A provider that listens on a port of its own, until the block ends."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/.well-known/openid-configuration":
                self._answer(200, provider.describe())
            elif parts.path == "/keys":
                self._answer(200, provider.public_keys())
            elif parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(_fields(parts.query)))
                self.end_headers()
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            form = _fields(self.rfile.read(int(self.headers["Content-Length"])).decode())
            told = provider.redeem(form, self.headers.get("Authorization", "Basic Og=="))
            self._answer(200 if told else 400, told or {"error": "invalid_grant"})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _fields(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
