"""Request bodies read within bounds: JSON, forms, lines of NDJSON, and long streams in blocks."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from cairn.errors import LimitError, MalformedError, RequestError
from cairn.hub import threads

MAX_JSON_BYTES = 4 << 20  # 256 preupload samples of 512 bytes take 0.2 MB
MAX_FORM_BYTES = 16 << 20  # paths-info may name thousands of paths of up to 4 KiB
MAX_FORM_FIELDS = 100_000
MAX_JSON_DEPTH = 64  # commits, batches and settings nest 4; what walks JSON may recurse
SMALL_JSON_BYTES = 64 << 10  # parsing less than this takes under a millisecond: no thread needed
BLOCK_BYTES = 1 << 20  # one thread hop each; larger is no cheaper here (decision 0006)


async def read_bytes(request: Request, limit_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The whole body.

    Raises:
        LimitError: it is longer than `limit_bytes`.
    """
    check_declared_size(request, limit_bytes)
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(chunk)
    return b"".join(parts)


def check_declared_size(request: Request, limit_bytes: int) -> None:
    """Refuse early what Content-Length already says is too long.

    Raises:
        LimitError: it is.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)


async def read_json(request: Request, limit_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object.

    Raises:
        LimitError: it is too long. MalformedError: it is no JSON object.
    """
    return await parse_json(await read_bytes(request, limit_bytes) or b"{}", "request body")


async def parse_json(text: bytes, where: str) -> dict[str, Any]:
    """A JSON object from bytes; `where` names them in errors.

    Raises:
        MalformedError: not UTF-8, not JSON, nested too deeply, or not an object.
    """
    if len(text) <= SMALL_JSON_BYTES:
        return _parse(text, where)
    return await threads.call(_parse, text, where)


def _parse(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise MalformedError("JSON nested too deeply", source=where) from None
    except ValueError as error:
        raise MalformedError(f"not valid JSON: {error}", source=where) from None
    if not isinstance(value, dict):
        raise MalformedError("want a JSON object", source=where)
    if text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and _depth(value) > MAX_JSON_DEPTH:
        raise MalformedError("JSON nested too deeply", source=where)
    return value


def _depth(value: dict[str, Any]) -> int:
    """How many containers lie inside each other; one level too many ends the search."""
    level: list[Any] = [value]
    for depth in range(MAX_JSON_DEPTH + 1):
        inside = [item for container in level for item in _items(container)]
        level = [item for item in inside if isinstance(item, dict | list)]
        if not level:
            return depth + 1
    return MAX_JSON_DEPTH + 1


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


async def read_form_or_json(request: Request) -> dict[str, list[str]]:
    """Fields of an urlencoded form or a JSON object, each as a list of strings.

    Raises:
        LimitError: too many bytes or fields. MalformedError: neither form nor JSON.
    """
    body = await read_bytes(request, MAX_FORM_BYTES)
    if request.headers.get("content-type", "").startswith("application/json"):
        value = await parse_json(body or b"{}", "request body")
        return {key: _as_strings(key, item) for key, item in value.items()}
    try:
        return await threads.call(
            parse_qs,
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise MalformedError(f"not an urlencoded form: {error}", source="request body") from None


def _as_strings(key: str, value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | bool | int) for item in items):
        raise MalformedError(f"field {key[:80]!r} must be a string or a list of strings")
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


async def lines(
    request: Request, *, line_limit_bytes: int, limit_bytes: int
) -> AsyncIterator[tuple[int, bytes]]:
    """Non-empty lines of the body with their number from 1, each held only while it is used.

    Raises:
        LimitError: a line or the body is too long.
    """
    check_declared_size(request, limit_bytes)
    pending: list[bytes] = []
    pending_bytes = total = number = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit_bytes:
            raise _too_large(limit_bytes)
        *complete, rest = chunk.split(b"\n")
        for end in complete:
            number += 1
            line = b"".join([*pending, end])
            pending, pending_bytes = [], 0
            _check_line(len(line), number, line_limit_bytes)
            if line.strip():
                yield number, line
        if rest:
            pending.append(rest)
            pending_bytes += len(rest)
            _check_line(pending_bytes, number + 1, line_limit_bytes)
    last = b"".join(pending)
    if last.strip():
        yield number + 1, last


def _check_line(length: int, number: int, limit_bytes: int) -> None:
    if length > limit_bytes:
        raise LimitError(
            f"line {number} is longer than {limit_bytes} bytes",
            source="request body",
            hint="send large files through LFS or Xet",
        )


async def blocks(request: Request, block_bytes: int = BLOCK_BYTES) -> AsyncIterator[list[bytes]]:
    """The body in batches of chunks, each batch of about `block_bytes`: one thread hop each."""
    batch: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        if chunk:
            batch.append(chunk)
            size += len(chunk)
        if size >= block_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def filled(request: Request, block_bytes: int = BLOCK_BYTES) -> AsyncIterator[memoryview]:
    """The body in blocks of `block_bytes`, the last shorter, all in one buffer used again.

    A block is overwritten when the next one is asked for. Small chunks are let go at once,
    so that the allocator hands out the same warm memory for the whole body.
    """
    buffer = memoryview(bytearray(block_bytes))
    used = 0
    async for chunk in request.stream():
        rest = memoryview(chunk)
        while rest:
            taken = min(len(rest), block_bytes - used)
            buffer[used : used + taken] = rest[:taken]
            used += taken
            rest = rest[taken:]
            if used == block_bytes:
                yield buffer
                used = 0
    if used:
        yield buffer[:used]


def flag(value: str | None) -> bool:
    """A boolean query or form value as clients write it: `true`, `True`, `1`."""
    return value is not None and value.lower() in ("true", "1", "yes")


def text_field(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """A string field of a JSON object.

    Raises:
        RequestError: it is missing without a default, or no string.
    """
    value = body.get(key)
    if value is None:
        if default is None:
            raise RequestError(f"field {key!r} is missing")
        return default
    if not isinstance(value, str):
        raise RequestError(f"field {key!r} must be a string, not {type(value).__name__}")
    return value


def _too_large(limit_bytes: int) -> LimitError:
    return LimitError(f"the body is longer than {limit_bytes} bytes", source="request")
