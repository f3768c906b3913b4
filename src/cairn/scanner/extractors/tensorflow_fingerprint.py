"""`fingerprint.pb` beside TensorFlow's saved models: hashes of them.

    FingerprintDef 1-5 hashes, 6 version, 7 UUID

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/fingerprint.proto
"""

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.protobuf import DELIMITED, VARINT, Wire
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

_FIELDS = {**dict.fromkeys(range(1, 6), VARINT), 6: DELIMITED, 7: DELIMITED}
_MAX_BYTES = 1024


class TensorflowFingerprintExtractor(Extractor):
    """By its name: some numbers have no first bytes of their own."""

    @property
    def name(self) -> str:
        """`tensorflow-fingerprint`."""
        return "tensorflow-fingerprint"

    def claims(self, head: bytes, source: Source) -> bool:
        """The name that TensorFlow looks for."""
        del head
        return base_name(source) == "fingerprint.pb"

    def extract(self, source: Source, trace: Trace) -> None:
        """Nothing but the fields of a fingerprint."""
        del trace
        if source.size_bytes > _MAX_BYTES:
            raise LimitError(f"a fingerprint of {source.size_bytes} bytes", source=source.name)
        wire = Wire(source)
        for field in wire.fields(wire.whole):
            if _FIELDS.get(field.number) != field.wire_type:
                raise MalformedError(
                    f"field {field.number} is none of a fingerprint", offset=field.span.start
                )
