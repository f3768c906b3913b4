"""The inert values a pickle program builds when it is read and not run.

Constants are Python's own None, bool, int, float, str and bytes; tuples and lists are
Python's. Everything that could act, hash or compare is one of the records below. They
compare by identity and have no deep `repr`, so nothing ever descends into hostile values.
"""

from dataclasses import dataclass
from enum import Enum

Value = object


class AnomalyKind(Enum):
    """What no well-behaved pickler writes, or where real unpicklers disagree."""

    FRAME_CROSSED = "an opcode reaches across the end of its frame"
    FRAME_NESTED = "a frame begins before the last one ended"
    FRAME_PAST_END = "a frame claims more bytes than there are"
    PROTOCOL_UNKNOWN = "a protocol number above 5"
    PROTOCOL_MOVED = "a PROTO opcode that is not the first"
    LITERAL_DISPUTED = "a literal that unpicklers read differently"
    TEXT_UNDECODABLE = "text that is not what its opcode promises"
    GLOBAL_COMPUTED = "a global whose name is not a constant string"
    EXTENSION = "a code of the copyreg extension registry"
    CALLEE_COMPUTED = "a call of something other than a global"
    ARGUMENTS_COMPUTED = "call arguments that are not a tuple"
    TARGET_MISMATCH = "items or state given to a value that takes none"
    MEMO_HUGE_INDEX = "a memo index far beyond the number of opcodes"
    MEMO_REPLACED = "a memo entry written twice"
    LEFTOVER_STACK = "values left on the stack at STOP"
    BUFFER_OUT_OF_BAND = "a buffer that lies outside the pickle"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One anomaly, at the offset of the opcode that shows it."""

    kind: AnomalyKind
    offset: int
    detail: str = ""


@dataclass(slots=True, eq=False)
class Global:
    """An importable name; `exact` is False when its parts were not constant strings."""

    module: str
    name: str
    offset: int
    exact: bool = True

    @property
    def full_name(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Extension:
    """A global named by its code in the copyreg extension registry."""

    code: int
    offset: int


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """The object a call would give, with what the program then does to it.

    `via` is the opcode's name: REDUCE, NEWOBJ, NEWOBJ_EX, OBJ or INST. `states` are the
    arguments of BUILD, `items` the keys and values set, alternating, `elements` the values
    appended or added. `literal_at` is where the short text or bytes begin that are its first
    argument, or the last of the five parts of its state: the elements of NumPy's arrays.
    """

    callee: Value
    args: Value
    offset: int
    via: str
    kwargs: Value = None
    states: list[Value] | None = None
    items: list[Value] | None = None
    elements: list[Value] | None = None
    literal_at: int | None = None


@dataclass(slots=True, eq=False, repr=False)
class Mapping:
    """A dict as it was filled: keys and values alternate, duplicates kept, keys unhashed."""

    items: list[Value]


@dataclass(slots=True, eq=False, repr=False)
class Members:
    """A set or frozenset as it was filled."""

    elements: list[Value]
    frozen: bool


@dataclass(slots=True, eq=False, repr=False)
class PersistentId:
    """A reference the program leaves to its loader, such as a torch storage."""

    id: Value
    offset: int


@dataclass(slots=True, eq=False)
class Payload:
    """A long string, bytes object or integer left in the file: its span there.

    `kind` is `str` (UTF-8, unverified), `bytes`, or `int` (little-endian two's complement).
    """

    start: int
    stop: int
    kind: str


@dataclass(slots=True, eq=False)
class Buffer:
    """A protocol 5 buffer that travels outside the pickle."""

    offset: int
    readonly: bool = False


def call_target(call: Call) -> str:
    """`module.name` of the called global, or `""` for anything else."""
    callee = call.callee
    return callee.full_name if isinstance(callee, Global) and callee.exact else ""


def kind_of(value: Value) -> str:
    """What a value is, for messages: `dict`, `call of torch._utils._rebuild_tensor_v2`, ..."""
    if type(value) is Call:
        callee = value.callee
        name = callee.full_name[:200] if type(callee) is Global else "a computed value"
        return f"a call of {name}"
    if type(value) is Global:
        return f"the global {value.full_name[:200]}"
    names = {Mapping: "a dict", Members: "a set", PersistentId: "a persistent id"}
    return names.get(type(value), f"a {type(value).__name__}")
