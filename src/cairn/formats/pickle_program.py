"""A pickle read as a program that is never run: what it would build, import and call.

`read_program` decodes every opcode of protocols 0 to 5 and carries it out on inert values.
Nothing is imported or called, whatever the bytes say. The layout readers use the value;
a scanner uses the globals, calls and anomalies, which are there even when the program
breaks off: an unpickler would have run everything before the break.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cairn.domain import Source
from cairn.errors import UntrustedDataError
from cairn.formats.limits import (
    MAX_PICKLE_INLINE_BYTES,
    MAX_PICKLE_OBJECTS,
    MAX_PICKLE_OPCODES,
)
from cairn.formats.pickle_loop import carry_out
from cairn.formats.pickle_machine import ACTIONS, Action
from cairn.formats.pickle_opcodes import CODES
from cairn.formats.pickle_tape import Tape
from cairn.formats.pickle_values import (
    Anomaly,
    AnomalyKind,
    Buffer,
    Call,
    Extension,
    Global,
    Mapping,
    Members,
    Payload,
    PersistentId,
    Value,
)
from cairn.formats.pickle_workspace import Workspace

__all__ = [
    "Anomaly",
    "AnomalyKind",
    "Buffer",
    "Call",
    "Extension",
    "Global",
    "Mapping",
    "Members",
    "Payload",
    "PersistentId",
    "PickleProgram",
    "Value",
    "read_program",
]


@dataclass(frozen=True, slots=True)
class PickleProgram:
    """What one pickle does, up to its STOP or to where it broke off.

    Offsets count from the start of the source. `end` is the offset after the last opcode
    carried out. `failure` is None for a whole program. Records are in program order.
    `longest_bytes` is the length of the longest bytes object that is held and not only its place.
    """

    value: Value
    end: int
    opcodes: int
    protocol: int
    failure: UntrustedDataError | None
    globals: list[Global] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    persistent_ids: list[PersistentId] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    anomalies_dropped: int = 0
    longest_bytes: int = 0

    def result(self) -> Value:
        """The value a whole program builds.

        Raises:
            UntrustedDataError: the program broke off.
        """
        if self.failure is not None:
            raise self.failure
        return self.value


BytesAfter = Callable[[Value, int], int]


def read_program(
    source: Source,
    start: int = 0,
    *,
    max_opcodes: int = MAX_PICKLE_OPCODES,
    max_objects: int = MAX_PICKLE_OBJECTS,
    inline_bytes: int = MAX_PICKLE_INLINE_BYTES,
    bytes_after: BytesAfter | None = None,
) -> PickleProgram:
    """Read the pickle that begins at `start`; never raises for what the bytes say.

    Work is bounded by `max_opcodes`, memory by `max_objects` and a constant times the bytes
    read: declared lengths are checked against the source before anything is allocated. Bytes
    objects longer than `inline_bytes` are represented by their place. `bytes_after` says how many
    bytes behind a BUILD are no opcodes, from what was built and the offset: joblib's loader takes
    arrays from there.
    """
    work = Workspace(source.name, max_objects)
    value: Value = None
    failure: UntrustedDataError | None = None
    tape = Tape(source, start, inline_bytes)
    actions = ACTIONS if bytes_after is None else _passing_over(tape, bytes_after)
    try:
        carry_out(tape, work, actions, max_opcodes)
        value = work.result(tape.opcode)
    except UntrustedDataError as error:
        failure = error
    return PickleProgram(
        value=value,
        end=tape.position if failure is None else tape.opcode,
        opcodes=work.steps,
        protocol=work.protocol,
        failure=failure,
        globals=work.globals,
        calls=work.calls,
        persistent_ids=work.persistent_ids,
        anomalies=work.anomalies,
        anomalies_dropped=work.anomalies_dropped,
        longest_bytes=tape.longest_bytes,
    )


def _passing_over(tape: Tape, bytes_after: BytesAfter) -> list[Action]:
    """The actions, of which BUILD passes over the bytes behind it."""
    code = CODES["BUILD"]
    build = ACTIONS[code]

    def build_and_pass(work: Workspace, offset: int, argument: Value) -> None:
        build(work, offset, argument)
        length = bytes_after(work.stack[-1], tape.position)
        if length:
            tape.skip(length)

    actions = list(ACTIONS)
    actions[code] = build_and_pass
    return actions
