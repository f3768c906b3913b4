"""Asks a witness over HTTP to cosign a log's head: https://c2sp.org/tlog-witness."""

from collections.abc import Callable
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cairn import __version__
from cairn.errors import ConflictError, IntegrityError, RequestError, UnavailableError
from cairn.provenance.log import MAX_NOTE_BYTES, witness_request

TIMEOUT_S = 30.0
_SIZE_DIGITS = 19


def ask_witness(
    address: str, note: bytes, proof_from: Callable[[int], list[str]], old_size: int = 0
) -> bytes:
    """The note with what a witness adds to it; nothing of that is checked.

    `proof_from(old)` is the consistency proof from the head that the witness saw last; which one
    that was the witness says when it was another than `old_size`.

    Raises:
        RequestError: the address is none, or the witness does not know this log.
        IntegrityError: the witness saw a log that this one does not begin with.
        UnavailableError: it does not answer.
    """
    if not address.startswith(("http://", "https://")):
        raise RequestError(f"{address!r} does not begin with http:// or https://")
    url = f"{address.rstrip('/')}/add-checkpoint"
    try:
        return note + _post(url, witness_request(note, old_size, proof_from(old_size)))
    except _OtherSizeError as other:
        asked = witness_request(note, other.size, proof_from(other.size))
    try:
        return note + _post(url, asked)
    except _OtherSizeError as other:
        raise UnavailableError(f"{url} saw a head of {other.size} entries meanwhile") from None


class _OtherSizeError(ConflictError):
    """The witness saw a head of another size last."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness saw {size} entries")
        self.size = size


def _post(url: str, body: bytes) -> bytes:
    headers = {"User-Agent": f"cairn/{__version__}", "Content-Type": "text/plain"}
    request = Request(url, body, headers, method="POST")  # noqa: S310 - http(s) only
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            content: bytes = answer.read(MAX_NOTE_BYTES)
            return content
    except HTTPError as error:
        raise _refusal(url, error) from None
    except (URLError, HTTPException, OSError) as error:
        raise UnavailableError(f"{url} cannot be asked: {error}") from None


def _refusal(url: str, error: HTTPError) -> Exception:
    text = error.read(_SIZE_DIGITS + 1).decode(errors="replace").strip()
    match error.code:
        case 409 if text.isascii() and text.isdigit():
            return _OtherSizeError(int(text))
        case 409 | 422:
            return IntegrityError(f"the witness at {url} saw a log that this one does not continue")
        case 403 | 404:
            return RequestError(f"the witness at {url} does not know this log: give it the key")
        case _:
            return UnavailableError(f"{url} answers {error.code} {error.reason}")
