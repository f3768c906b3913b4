"""`keras_metadata.pb` beside TensorFlow's saved models: layers as JSON in a protobuf message.

    SavedMetadata 1 SavedObject: 2 id, 3 path, 4 identifier (`_tf_keras_layer`), 5 JSON, 6 version

https://github.com/keras-team/keras/blob/v2.15.0/keras/protobuf/saved_metadata.proto
"""

from cairn.domain import Source, Span
from cairn.formats import WindowSource
from cairn.formats.protobuf import Wire
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_IDENTIFIER = b"_tf_keras_"
_JSON = 5


class KerasMetadataExtractor(Extractor):
    """A message whose first object has an identifier of Keras'."""

    @property
    def name(self) -> str:
        """`keras-metadata`."""
        return "keras-metadata"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the identifier near the beginning."""
        del source
        return head[:1] == b"\x0a" and _IDENTIFIER in head[:1024]

    def extract(self, source: Source, trace: Trace) -> None:
        """Take each object's JSON apart."""
        wire = Wire(source)
        for layer in wire.fields(wire.whole):
            if layer.number != 1 or not isinstance(layer.value, Span):
                continue
            for field in wire.fields(layer.value):
                if field.number == _JSON and isinstance(field.value, Span):
                    span = field.value
                    name = f"object at byte {layer.span.start}.json"
                    trace.enter(name, WindowSource(source, span.start, span.stop, name))
