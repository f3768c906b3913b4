"""JSON documents of an OpenID provider, fetched with a bound on bytes, time and places."""

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cairn.errors import RequestError, UnavailableError

TIMEOUT_S = 10.0
MAX_BYTES = 1 << 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _NoRedirects(HTTPRedirectHandler):
    """A provider answers itself: following redirects would ask whomever it names."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""
        return


_opener = build_opener(_NoRedirects)


def check_address(url: object, what: str) -> str:
    """The address if it may be asked: https, or http on this machine, for tests.

    Raises:
        RequestError: it may not.
    """
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not secure or not parts.hostname or parts.username is not None or parts.fragment:
        raise RequestError(f"the {what} {str(url)[:200]!r} is no https address")
    assert isinstance(url, str)
    return url


def fetch_json(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at an address; with a body it is posted as a form.

    Raises:
        UnavailableError: nobody answers in time, or with something else.
    """
    request = Request(url, body, {"Accept": "application/json", **(headers or {})})  # noqa: S310
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as response:
            content = response.read(MAX_BYTES + 1)
    except HTTPError as error:
        with error:
            told = error.read(300).decode("utf-8", "replace")
        raise UnavailableError(f"{_place(url)} answered {error.code}: {told}") from None
    except (URLError, OSError) as error:
        raise UnavailableError(f"{_place(url)} cannot be reached: {error}") from None
    if len(content) > MAX_BYTES:
        raise UnavailableError(f"{_place(url)} answered with more than {MAX_BYTES} bytes")
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnavailableError(f"{_place(url)} answered with something else than a JSON object")
    return found


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"the OpenID provider at {parts.netloc}{parts.path}"
