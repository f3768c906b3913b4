"""The address space of an HDF5 file: where its superblock is, and bounded reads at addresses.

    offset  size  superblock, version 0 and 1
    0       8     signature 89 48 44 46 0D 0A 1A 0A
    8       1     version; then 4 versions of parts and reserved bytes
    13      2     bytes of an address, bytes of a length (2, 4 or 8 each)
    16      4     entries per leaf and node of group B-trees, 2 each
    20      4     flags; version 1: 4 bytes more on chunk B-trees
    24/28   4A    base, free space, end of file, driver block
    ..      ..    symbol table entry of the root group: name (A), object header (A), ...

    offset  size  superblock, version 2 and 3
    8       4     version, bytes of an address, bytes of a length, flags
    12      4A    base, extension, end of file, object header of the root group
    ..      4     checksum

The signature stands at byte 0 or, behind a user block, at 512, 1024, 2048, ... Addresses count
from it; all ones means undefined. Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (II.A).
"""

from dataclasses import dataclass

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import HEAD_BYTES, MAX_HDF5_STRUCTURE_BYTES
from cairn.formats.sources import read_exactly

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (0, 512, 1024, 2048)  # larger ones lie outside the head; nobody writes them
_WIDTHS = (2, 4, 8)
_MAX_SUPERBLOCK_BYTES = 128


class Fields:
    """A cursor over the bytes of one structure; running off its end is malformed."""

    def __init__(self, data: bytes, addresses: "Addresses", offset: int, what: str) -> None:
        self._data = data
        self._addresses = addresses
        self._offset = offset
        self._what = what
        self.at = 0

    @property
    def remaining(self) -> int:
        """Bytes not taken yet."""
        return len(self._data) - self.at

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if not 0 <= length <= self.remaining:
            raise self.refusal("it ends early")
        self.at += length
        return self._data[self.at - length : self.at]

    def number(self, length: int) -> int:
        """The next bytes as an unsigned little-endian number."""
        return int.from_bytes(self.take(length), "little")

    def address(self) -> int | None:
        """An address, None where it is undefined."""
        width = self._addresses.address_bytes
        found = self.number(width)
        return None if found == (1 << 8 * width) - 1 else found

    def length(self) -> int:
        """A size in the width the superblock gives lengths."""
        return self.number(self._addresses.length_bytes)

    def name(self, *, padded: bool) -> str:
        """A string that a zero byte ends; `padded` to a multiple of 8 bytes, zero included."""
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise self.refusal("a name without an end")
        start = self.at
        self.take(end + 1 - start)
        if padded:
            self.take(-(self.at - start) % 8)
        return self.text(self._data[start:end])

    def text(self, raw: bytes) -> str:
        """UTF-8, of which ASCII is a part."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.refusal("a name or string that is not UTF-8") from None

    def within(self, length: int, what: str) -> "Fields":
        """A cursor over the next bytes alone."""
        at = self._offset + self.at
        return Fields(self.take(length), self._addresses, at, what)

    def expect(self, magic: bytes) -> None:
        """Take a signature."""
        if self.take(len(magic)) != magic:
            raise self.refusal(f"it does not begin with {magic.decode()}")

    def refusal(self, why: str) -> MalformedError:
        """The error for a structure that breaks the rules."""
        return MalformedError(
            f"{self._what}: {why}", source=self._addresses.source.name, offset=self._offset
        )


@dataclass(frozen=True, slots=True)
class _Superblock:
    base: int
    address_bytes: int
    length_bytes: int
    end: int
    root: int


class Addresses:
    """Reads structures by address, each within the file and all of them within a budget."""

    def __init__(self, source: Source) -> None:
        """Find and check the superblock.

        Raises:
            MalformedError: there is none, or the file is shorter or longer than it says.
        """
        self.source = source
        # One page holds most headers of small files; tensors inside it are not looked at.
        self._head = source.read_at(0, HEAD_BYTES)
        self._structure_bytes = 0
        self.address_bytes = self.length_bytes = 8
        self.base = 0
        found = self._superblock()
        self.base = found.base
        self.address_bytes, self.length_bytes = found.address_bytes, found.length_bytes
        self.root = found.root
        if found.end != source.size_bytes:
            raise MalformedError(
                f"the superblock ends the file at {found.end}, it has {source.size_bytes} bytes",
                source=source.name,
                offset=found.base,
                hint="The file is truncated, still open for writing, or carries foreign bytes",
            )

    def read(self, address: int | None, length: int, what: str) -> Fields:
        """The structure at an address, `length` bytes of it.

        Raises:
            MalformedError: the address is undefined or outside the file.
            LimitError: more was read than any sound file needs.
        """
        if address is None:
            raise MalformedError(f"{what} has no address", source=self.source.name)
        start = self.base + address
        if start + length > self.source.size_bytes:
            raise MalformedError(
                f"{what} of {length} bytes reaches past the end of the file",
                source=self.source.name,
                offset=start,
            )
        self.spend(length)
        if start + length <= len(self._head):
            data = self._head[start : start + length]
        else:
            data = read_exactly(self.source, start, length, what)
        return Fields(data, self, start, what)

    def spend(self, length: int) -> None:
        """Count bytes that are about to be taken from the file or copied once more.

        Raises:
            LimitError: more than any sound file needs.
        """
        self._structure_bytes += length
        if self._structure_bytes > MAX_HDF5_STRUCTURE_BYTES:
            raise LimitError(
                f"more than {MAX_HDF5_STRUCTURE_BYTES} bytes of headers, trees and heaps",
                source=self.source.name,
            )

    def _superblock(self) -> _Superblock:
        start = signature_at(self._head)
        if start is None:
            raise MalformedError("there is no HDF5 superblock", source=self.source.name)
        self.base = start
        raw = self._head[start : start + _MAX_SUPERBLOCK_BYTES]
        fields = Fields(raw, self, start, "the superblock")
        fields.expect(SIGNATURE)
        version = fields.number(1)
        if version > 3:
            raise fields.refusal(f"version {version} is not known")
        if version < 2:
            fields.take(4)
        widths = (fields.number(1), fields.number(1))
        if widths[0] not in _WIDTHS or widths[1] not in _WIDTHS:
            raise fields.refusal(f"addresses and lengths of {widths} bytes")
        self.address_bytes, self.length_bytes = widths
        fields.take((9, 13, 1, 1)[version])
        base, _, end, fourth = (fields.address() for _ in range(4))
        root = fourth
        if version < 2:
            fields.address()
            root = fields.address()
        if base is None or end is None or root is None:
            raise fields.refusal("no base, end or root group")
        if base not in (0, start):
            raise fields.refusal(f"its base address is {base}, it stands at {start}")
        return _Superblock(base, *widths, end, root)


def signature_at(head: bytes) -> int | None:
    """Where the superblock begins, None if it is in none of the places for it."""
    return next((at for at in _USER_BLOCKS if head.startswith(SIGNATURE, at)), None)
