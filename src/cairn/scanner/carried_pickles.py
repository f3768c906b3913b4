"""Pickles that a pickle holds as plain bytes or text: harmless to it, and bait for what comes next.

Bytes are searched as they are, text as base64, base32, base85 and hex, in up to three layers;
compressed streams are unpacked.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.formats.pickle_program import Global, Payload, Value
from cairn.scanner.evidence.pickles import CarriedPickle
from cairn.scanner.inflating import inflated, method_of
from cairn.scanner.pickle_search import find_pickles
from cairn.scanner.trace import Trace

# The shortest pickle that calls something has some 10 bytes.
_SHORTEST = 10

# Texts longer than this are model data, such as vocabularies; a pickle in base64 that is longer
# begins somewhere in it all the same.
_MOST_CHARS = 1 << 20

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{14,}={0,2}\s*")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}")
# The letters of RFC 1924 and of Adobe; words and paths are made of them, too, so text is decoded
# only where it has no space and some of the marks that no word has.
_BASE85 = re.compile(r"(?=.*[!#$%&()*+;<=>?@^`{|}~])[!-~]{12,}", re.DOTALL)
# Layers of text around a pickle that are taken off.
_MOST_LAYERS = 3

_HEX = re.compile(r"(?:0x)?([0-9A-Fa-f]{20,})")


def note_carried(values: Iterator[Value], source: Source, trace: Trace) -> None:
    """Note what the pickles in some values call, once each.

    Raises:
        LimitError: searching takes more than the file's budget.
    """
    for encoding, module, name in _called(_readings(values, source), trace):
        trace.note(CarriedPickle(trace.at(), encoding, module, name))


def pickles_in_text(text: str, trace: Trace) -> Iterator[tuple[str, str, str]]:
    """What pickles call that a text stands for: encoding, module and name, once each.

    Raises:
        LimitError: searching takes more than the file's budget.
    """
    if _SHORTEST <= len(text) <= _MOST_CHARS:
        yield from _called(_decoded(text.strip()), trace)


def _called(readings: Iterator[tuple[str, bytes]], trace: Trace) -> Iterator[tuple[str, str, str]]:
    seen: set[tuple[str, str, str]] = set()
    for encoding, packed in readings:
        data = _unpacked(packed, trace)
        trace.spend(len(data))
        for program in find_pickles(data):
            for call in program.calls:
                name = call.callee
                if isinstance(name, Global) and (encoding, name.module, name.name) not in seen:
                    seen.add((encoding, name.module, name.name))
                    yield encoding, name.module, name.name


def _unpacked(data: bytes, trace: Trace) -> bytes:
    """What a compressed stream holds; data that is none, or a broken one, as it is."""
    method = method_of(data)
    if method is None:
        return data
    try:
        return inflated(BytesSource(data), 0, len(data), method, trace).plain
    except MalformedError:
        return data


def _readings(values: Iterator[Value], source: Source) -> Iterator[tuple[str, bytes]]:
    """The bytes that each value is or stands for, with how it does so."""
    for value in values:
        if isinstance(value, Payload) and value.kind != "int":
            length = min(value.stop - value.start, _MOST_CHARS)
            raw = source.read_at(value.start, length)
            yield "bytes", raw
            yield from _decoded(raw.decode("latin-1"))
        elif isinstance(value, bytes) and len(value) >= _SHORTEST:
            yield "bytes", value
            yield from _decoded(value.decode("latin-1"))
        elif isinstance(value, str) and len(value) >= _SHORTEST:
            yield from _decoded(value)


def _decoded(text: str, layers: int = 1) -> Iterator[tuple[str, bytes]]:
    """What a text stands for in each encoding that it could be in, and what that stands for."""
    for encoding, data in _plain_readings(text):
        yield encoding, data
        if layers < _MOST_LAYERS and data.isascii():
            yield from _decoded(data.decode("ascii").strip(), layers + 1)


def _plain_readings(text: str) -> Iterator[tuple[str, bytes]]:
    if _BASE32.fullmatch(text):
        with contextlib.suppress(binascii.Error):
            yield "base32", base64.b32decode(text + "=" * (-len(text) % 8))
    if _BASE85.fullmatch(text):
        for decode in (base64.b85decode, base64.a85decode):
            with contextlib.suppress(ValueError):
                yield "base85", decode(text)
    if _BASE64.fullmatch(text):
        squeezed = re.sub(r"\s", "", text).translate(_URL_SAFE)
        with contextlib.suppress(binascii.Error):
            yield "base64", base64.b64decode(squeezed + "=" * (-len(squeezed) % 4))
    if found := _HEX.fullmatch(text):
        digits = found[1]
        yield "hex", bytes.fromhex(digits[: len(digits) // 2 * 2])


_URL_SAFE = str.maketrans("-_", "+/")
