"""Copies of lost files from another hub that speaks the Hugging Face protocol.

`GET /{repo}/resolve/{revision}/{path}`, as huggingface.co answers it: with the file, or with
redirects to where it lies (https://huggingface.co/docs/hub/api). What arrives is nothing but a
guess until its SHA-256 was compared.
"""

import re
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from urllib.parse import SplitResult, quote, urljoin, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from cairn.catalog import Location
from cairn.errors import NotFoundError, RequestError, UnavailableError
from cairn.workflows.damage import Damage

TIMEOUT_S = 30.0  # without a byte
BLOCK_BYTES = 1 << 20
MAX_REDIRECTS = 5
MAX_LOCATIONS = 8  # asked for one blob, which may lie in a thousand repos
ATTEMPTS = 4
PAUSE_S = 1.0  # before the second attempt, doubled before each further one

_SHA256 = re.compile(r'"?([0-9a-f]{64})"?\Z')
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (401, 403, 404, 410, 451)
_BRANCH = "main"  # where a file may still be, if the mirror has other commits than we


class Mirror:
    """One other hub; repos are asked for under the names they have here."""

    def __init__(self, url: str, token: str | None = None, pause_s: float = PAUSE_S) -> None:
        """`token` goes to this host alone, wherever it redirects.

        Raises:
            RequestError: this is no address of a hub.
        """
        self.name = url.rstrip("/")
        self._token = token
        self._pause_s = pause_s
        self._home = _origin(_checked(self.name))
        self._opener = OpenerDirector()
        # No handler for redirects and errors: both are answers that are looked at here.
        for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler()):
            self._opener.add_handler(handler)

    def copies(self, damage: Damage) -> Iterator[Iterator[bytes]]:
        """See `Origin.copies`: each place of the blob at its commit, then on the main branch."""
        if not damage.locations or damage.size_bytes is None:
            raise NotFoundError("no repo holds this blob: there is nothing to ask for")
        for place in damage.locations[:MAX_LOCATIONS]:
            for revision in (place.revision, _BRANCH):
                yield self._blocks(self._address(place, revision), damage)

    def _address(self, place: Location, revision: str) -> str:
        repo = f"{place.repo.type.url_prefix}{quote(place.repo.full_name)}"
        return f"{self.name}/{repo}/resolve/{quote(revision, safe='')}/{quote(place.path)}"

    def _blocks(self, address: str, damage: Damage) -> Iterator[bytes]:
        """The file; a broken connection is taken up where it broke, a few times."""
        done = 0
        for attempt in range(ATTEMPTS):
            try:
                for block in self._rest(address, damage, done):
                    done += len(block)
                    yield block
                return
            except UnavailableError:
                if attempt + 1 == ATTEMPTS:
                    raise
            time.sleep(self._pause_s * 2**attempt)

    def _rest(self, address: str, damage: Damage, start: int) -> Iterator[bytes]:
        """The bytes from `start` on.

        Raises:
            NotFoundError: the mirror does not have them, or has another file there.
            UnavailableError: it fails, or the connection does.
        """
        try:
            with self._file(address, damage, start) as response:
                yield from _body(response, damage, start)
        except (OSError, HTTPException, ValueError) as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"{address}: {why}") from error

    def _file(self, address: str, damage: Damage, start: int) -> HTTPResponse:
        """The answer that brings the file, after all redirects."""
        at = address
        for _ in range(MAX_REDIRECTS + 1):
            response = self._ask(at, start)
            try:
                _check_name(response, damage)
                if response.status not in _REDIRECTS:
                    _check_status(response, start)
                    return response
                at = urljoin(at, response.headers["Location"] or "")
            except BaseException:
                response.close()
                raise
            response.close()
        raise NotFoundError(f"{address}: more than {MAX_REDIRECTS} redirects")

    def _ask(self, at: str, start: int) -> HTTPResponse:
        request = Request(at, headers={"Accept-Encoding": "identity"})  # noqa: S310
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self._token and _origin(urlsplit(at)) == self._home:
            request.add_header("Authorization", f"Bearer {self._token}")
        response = self._opener.open(request, timeout=TIMEOUT_S)
        assert isinstance(response, HTTPResponse)
        return response


def _checked(url: str) -> SplitResult:
    """The parts of a hub's address.

    Raises:
        RequestError: it is none.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname
        _origin(parts)
    except ValueError as error:  # a port that is no number, half an IPv6 address
        raise RequestError(f"{url} is not the address of a hub: {error}") from None
    if not known or parts.query or parts.fragment:
        raise RequestError(f"{url} is not the address of a hub, as https://huggingface.co is")
    if parts.username is not None or parts.password is not None:
        raise RequestError("an address holds no password: give a token with --token or HF_TOKEN")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what a token is for (RFC 6454)."""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or usual


def _shown(response: HTTPResponse) -> str:
    """The address without its query, which may be a signature that gives access."""
    return urlsplit(response.url)._replace(query="", fragment="").geturl()


def _check_name(response: HTTPResponse, damage: Damage) -> None:
    """Spare the download of a file of which the mirror says that it is another one."""
    named = _SHA256.match(response.headers["X-Linked-Etag"] or "")
    if named and named[1] != damage.digest.hex:
        raise NotFoundError(f"{_shown(response)}: another file is there, sha256:{named[1]}")


def _check_status(response: HTTPResponse, start: int) -> None:
    status = response.status
    if status in _GONE:
        raise NotFoundError(f"{_shown(response)}: {status} {response.reason}")
    if status == 200 and start:
        raise NotFoundError(f"{_shown(response)}: broke off, and does not send the rest alone")
    if status != (206 if start else 200):
        raise UnavailableError(f"{_shown(response)}: {status} {response.reason}")


def _body(response: HTTPResponse, damage: Damage, start: int) -> Iterator[bytes]:
    """As many bytes as the blob has from `start` on, however many are sent."""
    assert damage.size_bytes is not None
    left = damage.size_bytes - start
    if response.length not in (None, left):
        raise NotFoundError(
            f"{_shown(response)}: a file of {start + response.length} bytes is there,"
            f" {damage.size_bytes} are wanted"
        )
    while left:
        block = response.read(min(BLOCK_BYTES, left))
        if not block:
            raise UnavailableError(f"{_shown(response)}: the connection ended {left} bytes early")
        left -= len(block)
        yield block
