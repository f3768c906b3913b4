"""A hub on another machine, as the command line calls it: our own JSON endpoints (docs/api.md)."""

import json
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from cairn.domain import RepoId
from cairn.errors import (
    CairnError,
    ConflictError,
    ForbiddenError,
    IntegrityError,
    MalformedError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from cairn.formats.strict_json import parse_json

TIMEOUT_S = 60.0  # without a byte
PAGE_FILES = 100
MAX_ANSWER_BYTES = 64 << 20  # the digests of a million files

_ERRORS: dict[int, type[CairnError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}


class RemoteHub:
    """One hub by its address; the token goes to no other host, for no redirect is followed."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises RequestError if this is no address of a hub."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise RequestError(f"{url} is not the address of a hub, as http://localhost:8400 is")
        if parts.password is not None:
            raise RequestError("an address holds no password: give a token with --token")
        self._url = url.rstrip("/")
        self._token = token
        self._opener = OpenerDirector()
        for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler()):
            self._opener.add_handler(handler)

    def digests(self, repo: RepoId, revision: str) -> tuple[str, dict[str, str]]:
        """The commit that a revision is now, and the SHA-256 of its files by path.

        Raises:
            NotFoundError: there is none for the owner of the token.
            UnavailableError: the hub does not answer. MalformedError: it answers nonsense.
        """
        told = self._ask("GET", self._address(repo, "digests", revision))
        commit, found = told.get("commit"), told.get("sha256")
        if not isinstance(commit, str) or not isinstance(found, dict):
            raise MalformedError("no digests of a revision", source=self._url)
        if not all(isinstance(digest, str) for digest in found.values()):
            raise MalformedError("digests that are no text", source=self._url)
        return commit, found

    def attach(self, repo: RepoId, revision: str, bundle: bytes) -> str:
        """Attach a bundle to a revision; returns what the hub makes of all its signatures.

        Raises:
            UnauthenticatedError, ForbiddenError: the token may not write to the repo.
            IntegrityError: the bundle signs other files. NotFoundError, UnavailableError.
        """
        told = self._ask("POST", self._address(repo, "signatures", revision), bundle)
        return str(told.get("verdict"))

    def security(self, repo: RepoId, revision: str, offset: int) -> dict[str, Any]:
        """What the hub's scans say of some files of a revision, from the one at `offset` on.

        Raises:
            NotFoundError: there is none for the owner of the token.
            UnavailableError: the hub does not answer. MalformedError: it answers nonsense.
        """
        address = self._address(repo, "security", revision)
        return self._ask("GET", f"{address}?limit={PAGE_FILES}&offset={offset}")

    def weights(self, repo: RepoId, revision: str, base: str, base_rev: str) -> dict[str, Any]:
        """What the hub finds odd about the weights of a revision, or how far it is with that.

        Raises:
            NotFoundError: there is none for the owner of the token.
            UnavailableError: the hub does not answer. MalformedError: it answers nonsense.
        """
        query = urlencode({"base": base, "base_rev": base_rev})
        return self._ask("GET", f"{self._address(repo, 'weights', revision)}?{query}")

    def _address(self, repo: RepoId, what: str, revision: str) -> str:
        name = f"{repo.type.plural}/{quote(repo.full_name)}"
        return f"{self._url}/api/cairn/{name}/{what}/{quote(revision, safe='')}"

    def _ask(self, method: str, address: str, body: bytes | None = None) -> dict[str, Any]:
        request = Request(address, body, method=method)  # noqa: S310 - http or https, see above
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                assert isinstance(response, HTTPResponse)
                return self._read(response)
        except (OSError, HTTPException) as error:
            raise UnavailableError(f"{self._url} does not answer: {error}") from error

    def _read(self, response: HTTPResponse) -> dict[str, Any]:
        content = response.read(MAX_ANSWER_BYTES)
        if response.status not in (200, 201, 202):
            raise self._error(response, content)
        value = parse_json(content, self._url, what="the answer")
        if not isinstance(value, dict):
            raise MalformedError("the answer is not a JSON object", source=self._url)
        return value

    def _error(self, response: HTTPResponse, content: bytes) -> CairnError:
        try:
            words = str(json.loads(content)["error"])
        except (ValueError, KeyError, TypeError):
            words = f"{response.status} {response.reason}"
        if response.headers.get("X-Error-Code") == "BadDigest":
            return IntegrityError(words)
        if response.status >= 500 or response.status < 400:
            return UnavailableError(f"{self._url}: {words}")
        return _ERRORS.get(response.status, RequestError)(words)
