"""Pickles that a pickle holds as plain bytes or text: harmless to it, and bait for what comes next.

Bytes are searched as they are, so are long integers in either byte order; text as base64, base32,
base85 and hex, forwards and backwards, in up to three layers; compressed streams are unpacked.
"""

from collections.abc import Iterator

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.formats.pickle_program import Global, Payload, Value
from cairn.scanner.evidence.pickles import CarriedPickle
from cairn.scanner.inflating import inflated, method_of
from cairn.scanner.pickle_search import SearchBudget, find_pickles
from cairn.scanner.text_encodings import MOST_CHARS, SHORTEST_BYTES, readings
from cairn.scanner.trace import Trace

# Integers this long are the bytes of something, or a seed, of which most have 16 at most.
_SHORTEST_BITS = 8 * SHORTEST_BYTES


def note_carried(values: Iterator[Value], source: Source, trace: Trace) -> None:
    """Note what the pickles in some values call, once each.

    Raises:
        LimitError: searching takes more than the file's budget.
    """
    seen: set[tuple[str, str, str]] = set()
    for encoding, packed in _readings(values, source):
        data = unpacked(packed, trace)
        trace.spend(len(data))
        for module, name in called_in(data, trace.search_budget):
            if (encoding, module, name) not in seen:
                seen.add((encoding, module, name))
                trace.note(CarriedPickle(trace.at(), encoding, module, name))


def called_in(data: bytes, budget: SearchBudget) -> Iterator[tuple[str, str]]:
    """What pickles in some bytes call: module and name, once each.

    Raises:
        LimitError: it takes more than the budget.
    """
    names = (call.callee for program in find_pickles(data, budget) for call in program.calls)
    yield from dict.fromkeys((one.module, one.name) for one in names if isinstance(one, Global))


def unpacked(data: bytes, trace: Trace) -> bytes:
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
        if isinstance(value, Payload):
            raw = source.read_at(value.start, min(value.stop - value.start, MOST_CHARS))
            if value.kind == "int":
                yield from _of_number(raw)
            else:
                yield "bytes", raw
                yield from readings(raw.decode("latin-1"))
        elif type(value) is int and value.bit_length() >= _SHORTEST_BITS:
            yield from _of_number(
                value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            )
        elif isinstance(value, bytes) and len(value) >= SHORTEST_BYTES:
            yield "bytes", value
            yield from readings(value.decode("latin-1"))
        elif isinstance(value, str) and len(value) >= SHORTEST_BYTES:
            yield from readings(value)


def _of_number(little_endian: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes of an integer, which `int.to_bytes` gives in either order."""
    yield "an integer", little_endian
    yield "an integer", little_endian[::-1]
