r"""How Xet names things: chunks, xorbs, files and term ranges, all 256-bit keyed BLAKE3.

    name              key        message
    chunk             DATA       the chunk's plain bytes
    tree node         NODE       one line "{text} : {size}\n" per child, 2 to 9 children
    xorb              -          root of the tree over its chunks
    file              zeros      root of the tree over its chunks; no bytes: 32 zero bytes
    term range        RANGE      the raw names of its chunks, joined

The text of a name is not the hex of its bytes: each group of 8 bytes is one little-endian
integer, printed as 16 hex digits. SHA-256 digests inside shards use the same order.

Specification: https://huggingface.co/docs/xet/hashing. The rule that groups children is
only in the client, https://github.com/huggingface/xet-core,
`xet_core_structures/src/merklehash/aggregated_hashes.rs` (`next_merge_cut`).
"""

import re
import struct

from blake3 import blake3

from cairn.errors import MalformedError

NAME_BYTES = 32
EMPTY_FILE = bytes(NAME_BYTES)

# xet-core, xet_core_structures/src/merklehash/data_hash.rs: DATA_KEY, INTERNAL_NODE_HASH.
_DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
# xet-core, xet_core_structures/src/metadata_shard/chunk_verification.rs: VERIFICATION_KEY.
_RANGE_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FILE_KEY = bytes(NAME_BYTES)

MIN_CHILDREN = 3  # a group may end after its third child ...
MAX_CHILDREN = 9  # ... and must after its ninth (2 * mean branching factor 4 + 1)

_FOUR_INTEGERS = struct.Struct("<4Q")
_TEXT = re.compile(r"[0-9a-f]{64}\Z")

Buffer = bytes | bytearray | memoryview


def to_text(raw: Buffer) -> str:
    """The text of a 32-byte name, as it stands in URLs and JSON (64 lower-case hex digits)."""
    return "{:016x}{:016x}{:016x}{:016x}".format(*_FOUR_INTEGERS.unpack(raw))


def from_text(text: str) -> bytes:
    """The 32 raw bytes of a name.

    Raises:
        MalformedError: `text` is not 64 lower-case hex digits.
    """
    if not _TEXT.match(text):
        raise MalformedError(f"{text[:80]!r} is not a Xet hash: want 64 lower-case hex digits")
    return _FOUR_INTEGERS.pack(*(int(text[i : i + 16], 16) for i in range(0, 64, 16)))


def chunk_name(data: Buffer) -> bytes:
    """The raw name of one chunk's plain bytes."""
    return blake3(data, key=_DATA_KEY).digest()


def range_name(chunk_names: Buffer) -> bytes:
    """What proves knowledge of a term's chunks: their raw names, joined in order, hashed."""
    return blake3(chunk_names, key=_RANGE_KEY).digest()


class Tree:
    """The hash tree over a row of chunks, built while they come, in memory logarithmic in them.

    A group of children is closed after its third or later child whose last integer is
    divisible by 4, or after the ninth; what is left at the end of a level is its last group.
    """

    def __init__(self) -> None:
        self._open: list[list[tuple[bytes, int]]] = [[]]  # the unfinished group of each level
        self._closed: list[int] = [0]  # how many groups each level has closed

    def add(self, name: bytes, size_bytes: int) -> None:
        """Append a chunk by its raw name and its plain size."""
        self._push(0, name, size_bytes)

    def root(self) -> bytes:
        """The raw root name; 32 zero bytes for no chunks. Nothing may be added afterwards."""
        level = 0
        while True:
            group, closed = self._open[level], self._closed[level]
            if not closed and len(group) <= 1:
                return group[0][0] if group else EMPTY_FILE
            if group:
                self._close(level)
            level += 1

    def _push(self, level: int, name: bytes, size_bytes: int) -> None:
        group = self._open[level]
        group.append((name, size_bytes))
        count = len(group)
        if count >= MIN_CHILDREN and (count == MAX_CHILDREN or not name[24] & 3):
            self._close(level)

    def _close(self, level: int) -> None:
        group = self._open[level]
        self._open[level] = []
        self._closed[level] += 1
        if level + 1 == len(self._open):
            self._open.append([])
            self._closed.append(0)
        text = "".join(f"{to_text(name)} : {size}\n" for name, size in group)
        node = blake3(text.encode(), key=_NODE_KEY).digest()
        self._push(level + 1, node, sum(size for _, size in group))


def file_name(tree: Tree) -> bytes:
    """The raw name of the file whose chunks `tree` holds."""
    root = tree.root()
    return root if root == EMPTY_FILE else blake3(root, key=_FILE_KEY).digest()
