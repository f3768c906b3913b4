"""The object headers of an HDF5 file: the messages that describe one group, dataset or type.

    offset  size  object header, version 1
    0       4     version 1, reserved, messages (2)
    4       4     references
    8       4     n: bytes of messages in this block; then 4 of padding
    16      n     messages: type (2), size (2), flags (1), reserved (3), body

    offset  size  object header, version 2
    0       6     `OHDR`, version 2, flags
    6       16    four times, if flag 0x20
    ..      4     limits of attribute storage, if flag 0x10
    ..      1-8   n: bytes of messages in this block, 1 << (flags & 3) of them
    ..      n     messages: type (1), size (2), flags (1), creation order (2, if flag 4), body
    ..      4     checksum

A continuation message (type 0x10) names a further block: bare messages in version 1, `OCHK`,
messages and a checksum in version 2. Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (IV.A). Checksums are not
compared: they guard against accidents, and every field is checked as if it came from an enemy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.errors import MalformedError
from cairn.formats.hdf5_addresses import Addresses, Fields

DATASPACE, LINK_INFO, DATATYPE = 0x01, 0x02, 0x03
OLD_FILL, FILL, LINK, EXTERNAL_FILES, DATA_LAYOUT = 0x04, 0x05, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, CONTINUATION = 0x0B, 0x0C, 0x10
SYMBOL_TABLE, ATTRIBUTE_INFO = 0x11, 0x15

_SHARED_FLAG = 0x02
_VERSION_2 = 2
_MESSAGE_BYTES_1 = 8
_MESSAGE_BYTES_2 = 4
_CHECKSUM_BYTES = 4
_CONTINUED = b"OCHK"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its number, its body, whether the body only refers to another object."""

    kind: int
    body: bytes
    offset: int
    shared: bool


class ObjectHeader:
    """The messages of one object, all continuation blocks included."""

    def __init__(self, addresses: Addresses, address: int) -> None:
        """Read the header at `address`.

        Raises:
            MalformedError: a block lies outside the file or is named twice, a message ends early.
        """
        self.address = address
        self._addresses = addresses
        self.messages: list[Message] = []
        self._seen: set[int] = set()
        if addresses.read(address, 1, "an object header").number(1) == 1:
            self._read_version_1()
        else:
            self._read_version_2()

    def all(self, kind: int) -> Iterator[tuple[Message, Fields]]:
        """The messages of one kind, each with a cursor over its body."""
        for message in self.messages:
            if message.kind == kind:
                yield message, self.fields(message)

    def first(self, kind: int) -> Fields | None:
        """The body of the first message of a kind, None if there is none."""
        return next((fields for _, fields in self.all(kind)), None)

    def fields(self, message: Message) -> Fields:
        """A cursor over a message's body."""
        what = f"message {message.kind:#x} of the object at {self.address}"
        return Fields(message.body, self._addresses, message.offset, what)

    def _read_version_1(self) -> None:
        prefix = self._addresses.read(self.address, 16, "an object header")
        prefix.take(8)
        blocks = [(self.address + 16, prefix.number(4))]
        for address, size in blocks:  # grows while it is walked
            self._enter(address)
            fields = self._addresses.read(address, size, "a block of an object header")
            while fields.remaining >= _MESSAGE_BYTES_1:
                kind, length, flags = fields.number(2), fields.number(2), fields.number(1)
                fields.take(3)
                blocks += self._keep(kind, length, flags, fields, address)

    def _read_version_2(self) -> None:
        fields = self._addresses.read(self.address, 6, "an object header")
        fields.expect(b"OHDR")
        version, flags = fields.number(1), fields.number(1)
        if version != _VERSION_2:
            raise fields.refusal(f"version {version} is not known")
        at = self.address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = self._addresses.read(at, width, "the size of an object header").number(width)
        order_bytes = 2 if flags & 4 else 0
        self._messages_2(at + width, size, order_bytes)

    def _messages_2(self, first: int, size: int, order_bytes: int) -> None:
        blocks = [(first, size)]
        for address, length in blocks:  # grows while it is walked
            self._enter(address)
            fields = self._addresses.read(address, length, "a block of an object header")
            if address != first:
                fields.expect(_CONTINUED)
                fields = fields.within(fields.remaining - _CHECKSUM_BYTES, "a continuation block")
            place = address if address == first else address + len(_CONTINUED)
            while fields.remaining >= _MESSAGE_BYTES_2 + order_bytes:
                kind, taken, flags = fields.number(1), fields.number(2), fields.number(1)
                fields.take(order_bytes)
                blocks += self._keep(kind, taken, flags, fields, place)

    def _enter(self, address: int) -> None:
        if address in self._seen:
            raise MalformedError(
                "the blocks of an object header form a cycle",
                source=self._addresses.source.name,
                offset=self._addresses.base + address,
            )
        self._seen.add(address)

    def _keep(
        self, kind: int, length: int, flags: int, fields: Fields, block: int
    ) -> list[tuple[int, int]]:
        """Remember the message whose body comes next; the block it continues in, if any."""
        place = self._addresses.base + block + fields.at
        message = Message(kind, fields.take(length), place, bool(flags & _SHARED_FLAG))
        if kind != CONTINUATION:
            self.messages.append(message)
            return []
        body = self.fields(message)
        address, size = body.address(), body.length()
        if address is None:
            raise body.refusal("a continuation without an address")
        return [(address, size)]
