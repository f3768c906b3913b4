"""Core ML models (`model.mlmodel`, alone or in a `.mlpackage`): a protobuf message.

    Model   1 specificationVersion, 2 description, 10 isUpdatable, then one of
            502 mlProgram: read, see `cairn.formats.coreml_program`
            500, 303, 403 neural networks, 200 to 202 pipelines, trees, and more: only recognised

The elements of a program's larger constants lie in `weights/weight.bin` beside it. Specification:
https://github.com/apple/coremltools/blob/main/mlmodel/format/Model.proto.
"""

from cairn.domain import Layout, Scalar, Source, Span
from cairn.errors import MalformedError, UnknownFormatError, UntrustedDataError
from cairn.formats.coreml_program import CoremlProgram
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_KEY_CHARS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.protobuf import DELIMITED, VARINT, Wire
from cairn.formats.reader import Reader

_PROGRAM = 502
_KINDS = range(200, 3001)  # the field that holds the model proper says its kind
_FIELDS = {1: VARINT, 2: DELIMITED, 10: VARINT}
_NAMES = {
    **dict.fromkeys((200, 201, 202), "a pipeline"),
    **dict.fromkeys((302, 402), "a tree ensemble"),
    **dict.fromkeys((303, 403, 500), "a neural network"),
}


class CoremlReader(Reader):
    """Reads ML programs; recognises the other kinds of Core ML models."""

    @property
    def name(self) -> str:
        """`coreml`."""
        return "coreml"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A version, a description, and a field that says what kind of model it is."""
        if head[:1] != b"\x08":
            return False
        seen: set[int] = set()
        try:
            # A message without end: a truncated model is still a model.
            for field in Wire(source, len(_FIELDS) + 1).fields(Span(0, 1 << 62)):
                if field.number in _KINDS and field.wire_type == DELIMITED:
                    return {1, 2} <= seen
                if _FIELDS.get(field.number) != field.wire_type:
                    return False
                seen.add(field.number)
        except UntrustedDataError:
            return False
        return False

    def read(self, source: Source) -> Layout:
        """Lay the program out from everything in it but the tensors' elements."""
        notes = Notes()
        wire = Wire(source)
        program = CoremlProgram(wire, notes)
        said: dict[str, Scalar] = {}
        seen: set[int] = set()
        for number, value, *_ in wire.fields(wire.whole):
            if number in seen:
                raise MalformedError(f"field {number} of the model is there twice")
            seen.add(number)
            match number, value:
                case 1, int():
                    said["specification_version"] = value
                case 502, Span() as message:
                    program.walk(message)
                case _ if number in _KINDS:
                    raise UnknownFormatError(
                        f"this is a Core ML model, {_NAMES.get(number, f'kind {number}')}; it is"
                        " recognised, its tensors are not read yet",
                        source=source.name,
                        hint="Convert the model it was made from to an ML program with coremltools",
                    )
        if _PROGRAM not in seen:
            raise MalformedError("the model has no program", source=source.name)
        said |= {f"operators.{name}": count for name, count in program.operators.most_common()}
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(program.tensors),
            storages=tuple(sorted(program.storages, key=lambda storage: storage.span)),
            metadata={
                printable(key, MAX_METADATA_KEY_CHARS): value
                for key, value in list(said.items())[:MAX_METADATA_ITEMS]
            },
            notes=notes.listed(),
        )
