"""Protobuf messages walked by a table of which fields hold which messages, however they nest."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cairn.domain import Span
from cairn.errors import LimitError
from cairn.formats.protobuf import Wire

# Graphs in attributes of nodes of functions: each level of control flow takes three messages.
_MAX_DEPTH = 100

Schema = Mapping[str, Mapping[int, str]]
"""For each kind of message, which fields are messages and of which kind."""


class Message(NamedTuple):
    """A message of a kind, and where it lies."""

    kind: str
    span: Span


def messages_in(wire: Wire, schema: Schema, kind: str, span: Span) -> Iterator[Message]:
    """A message and all messages in it, outermost first.

    Raises:
        MalformedError: the bytes are no protobuf.
        LimitError: they nest too deeply, or are too many.
    """
    waiting = [(Message(kind, span), 0)]
    while waiting:
        message, depth = waiting.pop()
        yield message
        if depth > _MAX_DEPTH:
            raise LimitError(f"messages nest more than {_MAX_DEPTH} deep")
        below = schema.get(message.kind)
        if below:
            waiting += [
                (Message(below[field.number], field.value), depth + 1)
                for field in wire.fields(message.span)
                if field.number in below and isinstance(field.value, Span)
            ][::-1]


def texts_of(wire: Wire, message: Span, *numbers: int, max_bytes: int = 4096) -> list[str]:
    """The last text under each of some field numbers of a message; empty where there is none."""
    found = dict.fromkeys(numbers, "")
    for field in wire.fields(message):
        if field.number in found and isinstance(field.value, Span):
            found[field.number] = wire.text(field.value, max_bytes)
    return list(found.values())
