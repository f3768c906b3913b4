"""TensorBoard's event files (`events.out.tfevents.*`): records of scalars, walked to the end.

    record   bytes of data (8), CRC-32C of these (4), data, CRC-32C of the data (4)
    Event    1 wall time (double), 2 step, 3 version, 5 summary and others: a protobuf message

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.h and
`event.proto` in `core/util`.
"""

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.protobuf import FIXED64, Wire
from cairn.formats.read_ahead import ReadAheadSource
from cairn.formats.sources import read_exactly
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_LENGTH_BYTES, _CRC_BYTES = 8, 4
_HEAD_BYTES = _LENGTH_BYTES + _CRC_BYTES
_VERSION = b"brain.Event:"
_MAX_RECORDS = 1_000_000
_LAST_FIELD = 20


class EventLogExtractor(Extractor):
    """A first record that says which version of events follows."""

    @property
    def name(self) -> str:
        """`event-log`."""
        return "event-log"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the version, which every writer puts first."""
        del source
        return head[_HEAD_BYTES : _HEAD_BYTES + 1] == b"\x09" and _VERSION in head[:64]

    def extract(self, source: Source, trace: Trace) -> None:
        """Every record has to be an event: a time first, then fields of events."""
        trace.spend(source.size_bytes)
        ahead = ReadAheadSource(source)
        wire = Wire(source)
        at = 0
        for _ in range(_MAX_RECORDS):
            if at == source.size_bytes:
                return
            head = read_exactly(ahead, at, _HEAD_BYTES, "the head of a record")
            start = at + _HEAD_BYTES
            stop = start + int.from_bytes(head[:_LENGTH_BYTES], "little")
            if stop + _CRC_BYTES > source.size_bytes:
                raise MalformedError("a record reaches past the end", offset=at)
            _check_event(wire, Span(start, stop))
            at = stop + _CRC_BYTES
        raise LimitError(f"more than {_MAX_RECORDS} records", source=source.name)


def _check_event(wire: Wire, event: Span) -> None:
    for at, field in enumerate(wire.fields(event)):
        timed = field.number == 1 and field.wire_type == FIXED64
        if field.number > _LAST_FIELD or (at == 0 and not timed):
            raise MalformedError("a record is no event", offset=event.start)
