"""What a text may stand for: base64, base32, base85 or hex, forwards or backwards, in layers."""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator

# The shortest pickle that calls something, and the shortest command, have some 10 bytes.
SHORTEST_BYTES = 10

# Texts longer than this are model data, such as vocabularies; what is hidden in a longer one
# begins somewhere in it all the same.
MOST_CHARS = 1 << 20

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{14,}={0,2}\s*")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}")
# The letters of RFC 1924 and of Adobe; words and paths are made of them, too, so text is decoded
# only where it has no space and some of the marks that no word has.
_BASE85 = re.compile(r"(?=.*[!#$%&()*+;<=>?@^`{|}~])[!-~]{12,}", re.DOTALL)
_LETTERS_OF_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]*")
_HEX = re.compile(r"(?:0x)?([0-9A-Fa-f]{20,})")
_URL_SAFE = str.maketrans("-_", "+/")

# No text this long that is in base85 has only letters of base64; to decode it takes a second a MB.
_LONG_CHARS = 1000

# Layers of text around something that are taken off.
_MOST_LAYERS = 3


def readings(text: str, layers: int = 1) -> Iterator[tuple[str, bytes]]:
    """What a text stands for in each encoding that it could be in, and what that stands for.

    Each with the name of the encoding, such as `base64` or `reversed base64`.
    """
    for direction, spelled in (("", text), ("reversed ", text[::-1])):
        for encoding, data in _plain_readings(spelled):
            yield direction + encoding, data
            if layers < _MOST_LAYERS and data.isascii():
                yield from readings(data.decode("ascii").strip(), layers + 1)


def _plain_readings(text: str) -> Iterator[tuple[str, bytes]]:
    if _BASE32.fullmatch(text):
        with contextlib.suppress(binascii.Error):
            yield "base32", base64.b32decode(text + "=" * (-len(text) % 8))
    long = len(text) > _LONG_CHARS
    if _BASE85.fullmatch(text) and not (long and _LETTERS_OF_BASE64.fullmatch(text)):
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
