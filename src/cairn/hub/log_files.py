"""The files of a log that somebody serves over HTTP, asked for as a follower does."""

from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cairn import __version__
from cairn.errors import EntryNotFoundError, LimitError, RequestError, UnavailableError
from cairn.provenance.log import CHECKPOINT, MAX_NOTE_BYTES

TIMEOUT_S = 60.0  # a hub that signs its first head may have much to put into the log
_OF_A_HUB = "/api/cairn/log"


class HttpLogFiles:
    """A log at an address: that of a hub, or of a mirror that any web server serves."""

    def __init__(self, address: str) -> None:
        """Raises RequestError for an address of another scheme than http and https."""
        if not address.startswith(("http://", "https://")):
            raise RequestError(f"{address!r} does not begin with http:// or https://")
        self._address = address.rstrip("/")
        self._prefix: str | None = None

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `cairn.provenance.log.LogFiles`; UnavailableError if nobody answers."""
        if self._prefix is None:
            self._prefix = self._find_prefix()
        return _get(f"{self._prefix}/{path}", max_bytes)

    def _find_prefix(self) -> str:
        """Where the log is: below a hub's address, or there itself."""
        try:
            _get(f"{self._address}{_OF_A_HUB}/{CHECKPOINT}", MAX_NOTE_BYTES)
        except EntryNotFoundError:
            return self._address
        return self._address + _OF_A_HUB


def _get(url: str, max_bytes: int) -> bytes:
    request = Request(url, headers={"User-Agent": f"cairn/{__version__}"})  # noqa: S310 - http(s)
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            content: bytes = answer.read(max_bytes + 1)
    except HTTPError as error:
        if error.code == 404:
            raise EntryNotFoundError(f"there is no {url}") from None
        raise UnavailableError(f"{url} answers {error.code} {error.reason}") from None
    except (URLError, HTTPException, OSError) as error:
        raise UnavailableError(f"{url} cannot be read: {error}") from None
    if len(content) > max_bytes:
        raise LimitError(f"has more than {max_bytes} bytes", source=url)
    return content
