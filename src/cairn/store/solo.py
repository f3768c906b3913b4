"""Encodes a part by itself: the smallest that any codec makes of it."""

from cairn.domain import DType
from cairn.plugins import Registry
from cairn.store.codec import Codec
from cairn.store.packs import Encoded


def encode_alone(
    plain: bytes | memoryview, digest: bytes, dtype: DType | None, codecs: Registry[Codec]
) -> Encoded:
    """The part in the smallest encoding any codec has for it."""
    view = memoryview(plain)
    best = Encoded(digest, len(view), "raw", dtype, view)
    for codec in codecs:
        if codec.name == "raw":
            continue
        stored = codec.encode(view, dtype)
        if stored is not None and len(stored) < len(best.stored):
            best = Encoded(digest, len(view), codec.name, dtype, stored)
    return best
