"""SentencePiece models: a protobuf message of pieces, their scores and two specifications.

    ModelProto     1 SentencePiece, 2 TrainerSpec, 3 and 5 NormalizerSpec, 4 SelfTestData
    SentencePiece  1 text, 2 score (float), 3 type

https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from cairn.domain import Source, Span
from cairn.errors import MalformedError, UntrustedDataError
from cairn.formats.protobuf import DELIMITED, FIXED32, VARINT, Wire
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_PIECE = {1: DELIMITED, 2: FIXED32, 3: VARINT}
_LAST_FIELD = 5
_PEEKED_FIELDS = 20


class SentencePieceExtractor(Extractor):
    """A message that begins with pieces: texts with scores."""

    @property
    def name(self) -> str:
        """`sentencepiece`."""
        return "sentencepiece"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the first piece."""
        if head[:1] != b"\x0a":
            return False
        wire = Wire(source, _PEEKED_FIELDS)
        try:
            first = next(wire.fields(wire.whole))
            return isinstance(first.value, Span) and _is_piece(wire, first.value)
        except UntrustedDataError:
            return False

    def extract(self, source: Source, trace: Trace) -> None:
        """All of the message has to be of this form."""
        trace.spend(source.size_bytes)
        wire = Wire(source)
        for field in wire.fields(wire.whole):
            span = field.value
            if not isinstance(span, Span) or field.number > _LAST_FIELD:
                raise MalformedError(
                    f"field {field.number} is none of a tokenizer model", offset=field.span.start
                )
            if field.number == 1 and not _is_piece(wire, span):
                raise MalformedError("a piece is damaged", offset=span.start)


def _is_piece(wire: Wire, span: Span) -> bool:
    kinds = {field.number: field.wire_type for field in wire.fields(span)}
    return {1, 2} <= kinds.keys() and all(
        _PIECE.get(number) == kind for number, kind in kinds.items()
    )
