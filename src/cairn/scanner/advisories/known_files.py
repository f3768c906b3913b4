"""Lists of files known to be bad, by their SHA-256.

CSV with a first line of names, of which `size_bytes` may be missing; or a JSON array of objects
with the same names:

    sha256,reason,source,size_bytes
    9f86d081...0f00a08,opens a shell when it is loaded,https://example.org/report,1234

Where the size is told, a file of another size need not be read to know that it is another one.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from cairn.domain import Digest, KnownFile
from cairn.errors import MalformedError, NamingError

MAX_LIST_BYTES = 64 << 20
"""Some 400,000 files with a reason and a source of 60 characters each."""

_MAX_TEXT = 500
_COLUMNS = ("sha256", "reason", "source", "size_bytes")


def parse_known_files(content: bytes, source: str) -> list[KnownFile]:
    """The files of a list in either form.

    Raises:
        MalformedError: it is in neither; a wrong line would else be a file that nobody stops.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8 text", source=source, offset=error.start) from None
    rows = _json_rows(text, source) if text.lstrip()[:1] == "[" else _csv_rows(text, source)
    return [_known_file(row, f"{source}, entry {number}") for number, row in enumerate(rows, 1)]


def known_files_csv(known: Iterable[KnownFile]) -> bytes:
    """A list as CSV, by digest."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in sorted(known, key=lambda one: one.digest.hex):
        size = "" if one.size_bytes is None else one.size_bytes
        writer.writerow((one.digest.hex, one.reason, one.source, size))
    return out.getvalue().encode()


def _json_rows(text: str, source: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError("not JSON", source=source) from None
    assert isinstance(rows, list)
    return rows


def _csv_rows(text: str, source: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if not {"sha256", "reason", "source"} <= set(reader.fieldnames or ()):
        raise MalformedError(
            "the first line must name the columns sha256,reason,source", source=source
        )
    try:
        yield from reader
    except csv.Error as error:
        raise MalformedError(f"not CSV: {error}", source=source) from None


def _known_file(row: Any, place: str) -> KnownFile:
    if not isinstance(row, dict):
        raise MalformedError("not an object", source=place)
    texts = {name: row.get(name) for name in ("sha256", "reason", "source")}
    for name, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise MalformedError(f"no {name}", source=place)
    size = row.get("size_bytes")
    if isinstance(size, str):
        size = int(size) if size.isascii() and size.isdecimal() else None if not size else -1
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise MalformedError("size_bytes is no count of bytes", source=place)
    try:
        digest = Digest.sha256(str(texts["sha256"]).strip().lower())
    except NamingError:
        raise MalformedError("sha256 is not 64 hexadecimal digits", source=place) from None
    return KnownFile(
        digest, str(texts["reason"])[:_MAX_TEXT], str(texts["source"])[:_MAX_TEXT], size
    )
