"""Names that promise a form which cannot run anything, over content of another."""

from re import compile as pattern
from typing import ClassVar

from cairn.domain import Source
from cairn.formats.limits import HEAD_BYTES
from cairn.scanner.evidence.contents import Disguise
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

_PROMISES = {
    ".safetensors": "safetensors",
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".npy": "a NumPy array",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".pb": "protobuf",
    ".tflite": "TensorFlow Lite",
    ".msgpack": "msgpack",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"), "an image"),
    **dict.fromkeys((".json", ".txt", ".md", ".yaml", ".yml", ".csv", ".tsv", ".jinja"), "text"),
}
# Nothing loads these from such archives; only scanners stumble over them (nullifAI, 2025).
_CHECKPOINTS = dict.fromkeys(
    (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".keras", ".npz", ".distcp", ".nemo"),
    "a checkpoint",
)
_FOUND = {
    b"PK\x03\x04": "a zip archive",
    **{b"\x80" + bytes([protocol]): "a pickle" for protocol in range(2, 6)},
}
_PACKED = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"\x04\x22\x4d\x18": "LZ4 data",
    b"MSCF\0\0\0\0": "a cabinet archive",
    b"!<arch>\n": "an ar archive",
    b"\xed\xab\xee\xdb": "an RPM package",
}
# Formats that begin with a byte that no text has, or with their name.
_BINARY = frozenset(
    (
        *(".pt", ".pth", ".ckpt", ".safetensors", ".npz", ".npy", ".keras", ".h5", ".hdf5"),
        *(".onnx", ".tflite", ".gguf", ".distcp", ".nemo", ".msgpack"),
    )
)
_LFS = b"version https://git-lfs.github.com/spec/"
_PRINTED = pattern(rb"[\t\n\r\x20-\x7e]+")
_TEXT_PICKLES = (b"cos\n", b"cposix\n", b"cnt\n", b"c__builtin__\n", b"cbuiltins\n", b"(cos\n")


class DisguiseExtractor(Extractor):
    """What the name says against how the content begins."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`disguise`."""
        return "disguise"

    def claims(self, head: bytes, source: Source) -> bool:
        """A name and a beginning that do not belong together."""
        return _disguise(head, base_name(source)) is not None

    def extract(self, source: Source, trace: Trace) -> None:
        """Say which name and which content."""
        found = _disguise(source.read_at(0, HEAD_BYTES), base_name(source))
        assert found is not None
        trace.note(Disguise(trace.at(0), *found))


def _disguise(head: bytes, name: str) -> tuple[str, str] | None:
    suffix = name[name.rfind(".") :]
    for marks, promises in (
        (_FOUND, _PROMISES),
        (dict.fromkeys(_TEXT_PICKLES, "a pickle"), _PROMISES),
        (_PACKED, _PROMISES | _CHECKPOINTS),
    ):
        found = next((what for mark, what in marks.items() if head.startswith(mark)), None)
        if found is not None and suffix in promises:
            return promises[suffix], found
    if suffix in _BINARY and _PRINTED.fullmatch(head) and not head.startswith(_LFS):
        return "a binary format", "plain text"
    return None
