"""The codecs, one per file; the table lists them in the order they are tried."""

from cairn.plugins import Registry
from cairn.store.codec import Codec
from cairn.store.codecs.planes import PlanesCodec
from cairn.store.codecs.raw import RawCodec
from cairn.store.codecs.zstd import ZstdCodec

CODECS: Registry[Codec] = Registry("codec", [PlanesCodec(), ZstdCodec(), RawCodec()])

__all__ = ["CODECS", "PlanesCodec", "RawCodec", "ZstdCodec"]
