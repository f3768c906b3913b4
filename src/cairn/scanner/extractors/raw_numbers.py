"""Files of bare numbers beside a model: only their names say what they are, as loaders have it.

ONNX external data (`model.onnx.data`, `model.onnx_data`):
https://github.com/onnx/onnx/blob/main/docs/ExternalData.md. TensorFlow's shards
(`variables.data-00000-of-00001`): `tensor_bundle.h`.
"""

from re import compile as pattern

from cairn.domain import DType, Source, Span, TensorInfo
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.tensor_starts import note_tensor_starts
from cairn.scanner.trace import Trace

_NAMES = pattern(r".+(?:\.onnx[._]data(?:_\d+)?|\.data-\d{5}-of-\d{5})")


class RawNumbersExtractor(Extractor):
    """Numbers by their name alone: loaders take the bytes as they are and run nothing."""

    @property
    def name(self) -> str:
        """`raw-numbers`."""
        return "raw-numbers"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the name that exporters give them."""
        del head
        return bool(_NAMES.fullmatch(base_name(source)))

    def extract(self, source: Source, trace: Trace) -> None:
        """The file as one tensor of bytes: how it begins is all that can be told."""
        size = source.size_bytes
        whole = TensorInfo("bytes", DType.U8, (size,), Span(0, size))
        note_tensor_starts(source, [whole], trace)
