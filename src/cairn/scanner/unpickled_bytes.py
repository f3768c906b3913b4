"""Bytes that a pickle hands to an unpickler, which the scan follows as that one would.

`torch.storage._load_from_bytes(data)` is `torch.load` of bytes: how torch's tensors come into plain
pickles (`TypedStorage.__reduce__` in `torch/storage.py`). It is as harmless as what it is given, so
that must lie in the file as it is; what a pickle computes first nobody can follow.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cairn.domain import Source
from cairn.formats import BytesSource, WindowSource
from cairn.formats.pickle_program import Call, Payload, Value
from cairn.formats.pickle_values import call_target

_UNPICKLERS = frozenset(("torch.storage._load_from_bytes",))
_ENCODERS = frozenset(("_codecs.encode",))


@dataclass(frozen=True, slots=True)
class GivenBytes:
    """What a call is given: a value that is bytes, or latin-1 text that stands for them."""

    call: Call
    value: str | bytes | Payload

    @property
    def key(self) -> tuple[int, int]:
        """The same for the same bytes, which a pickle may hand over any number of times."""
        if isinstance(self.value, Payload):
            return self.value.start, self.value.stop
        return id(self.value), -1

    @property
    def size_bytes(self) -> int:
        """How many bytes must be read, for the file's budget."""
        if isinstance(self.value, Payload):
            return self.value.stop - self.value.start
        return len(self.value)

    def content(self, source: Source) -> Source:
        """The bytes, as a source of their own.

        Raises:
            ValueError: the text does not stand for bytes.
        """
        value, name = self.value, f"bytes of the call at {self.call.offset}"
        if isinstance(value, Payload) and value.kind == "bytes":
            return WindowSource(source, value.start, value.stop, name)
        if isinstance(value, Payload):
            value = source.read_at(value.start, value.stop - value.start).decode()
        return BytesSource(value.encode("latin-1") if isinstance(value, str) else value, name)


def given_bytes(calls: Iterable[Call]) -> Iterator[GivenBytes]:
    """What unpicklers among some calls are given, where it lies in the file as it is."""
    for call in calls:
        if call.via == "REDUCE" and call_target(call) in _UNPICKLERS:
            match call.args:
                case (value,) if (found := _plain(value)) is not None:
                    yield GivenBytes(call, found)


def _plain(value: Value) -> str | bytes | Payload | None:
    match value:
        case bytes() | Payload(kind="bytes"):
            return value
        case Call(args=(str() | Payload(kind="str") as text, "latin1")):
            # How protocols before 3 write bytes; nothing else is done to what it gives.
            plain = value.via == "REDUCE" and not (value.states or value.items or value.elements)
            return text if plain and call_target(value) in _ENCODERS else None
    return None
