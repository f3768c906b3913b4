r"""A folder as one run of bytes, so that what is changed in one file leaves the others whole.

    MARK path "\n" data    once per file

What stands before the first mark is left out.
"""

from collections.abc import Mapping

MARK = b"\x00\xff==file==\xff\x00"
MAX_FILES = 40  # of one input: mutations repeat what they find


def packed(contents: Mapping[str, bytes]) -> bytes:
    """The files one after the other."""
    return b"".join(MARK + path.encode() + b"\n" + data for path, data in contents.items())


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files that any bytes stand for."""
    found = {}
    for part in data.split(MARK)[1 : MAX_FILES + 1]:
        path, _, content = part.partition(b"\n")
        found[path.decode("utf-8", "replace")] = content
    return found
