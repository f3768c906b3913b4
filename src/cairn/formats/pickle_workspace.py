"""The stack, marks and memo of a pickle program being read, with its budget and its records.

Sources: `Lib/pickle.py` (`_Unpickler`) and `Modules/_pickle.c` of CPython 3.14.
"""

from cairn.errors import MalformedError
from cairn.formats.limits import MAX_ANOMALIES, MAX_PICKLE_OBJECTS
from cairn.formats.pickle_values import (
    Anomaly,
    AnomalyKind,
    Call,
    Global,
    PersistentId,
    Value,
)


class Workspace:
    """The state of one program. Values above the last MARK are in `stack`, others set aside."""

    __slots__ = (
        *("_set_aside", "_source", "anomalies", "anomalies_dropped", "calls", "globals"),
        *("last_bytes", "last_text", "max_objects", "memo", "objects", "persistent_ids"),
        *("protocol", "stack", "steps", "text_before"),
    )

    def __init__(self, source: str, max_objects: int = MAX_PICKLE_OBJECTS) -> None:
        self.globals: list[Global] = []
        self.calls: list[Call] = []
        self.persistent_ids: list[PersistentId] = []
        self.anomalies: list[Anomaly] = []
        self.anomalies_dropped = 0
        self.protocol = 0
        self.steps = 0
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}
        # Where the last two texts and the last bytes begin. The elements of a NumPy array are
        # among them when it is made: Python 3 writes bytes in protocol 2 as a call of
        # `_codecs.encode(text, "latin1")`.
        self.last_text: tuple[int, Value] = (0, None)
        self.text_before: tuple[int, Value] = (0, None)
        self.last_bytes: tuple[int, Value] = (0, None)
        self._set_aside: list[list[Value]] = []
        self._source = source
        self.objects = 0  # made so far; no opcode makes more than one
        self.max_objects = max_objects

    def refusal(self, offset: int, why: str) -> MalformedError:
        """The error for an opcode that cannot be carried out."""
        return MalformedError(why, source=self._source, offset=offset)

    def report(self, anomaly: Anomaly) -> None:
        """Record an anomaly; beyond the cap they are only counted."""
        if len(self.anomalies) < MAX_ANOMALIES:
            self.anomalies.append(anomaly)
        else:
            self.anomalies_dropped += 1

    def odd(self, kind: AnomalyKind, offset: int, detail: str = "") -> None:
        """Record an anomaly from its parts."""
        self.report(Anomaly(kind, offset, detail))

    def make(self, value: Value) -> None:
        """Push a newly made object."""
        self.objects += 1
        self.stack.append(value)

    def place_of(self, literal: Value) -> int | None:
        """Where a text or bytes object begins, if it is one of the last."""
        for start, known in (self.last_bytes, self.text_before, self.last_text):
            if known is literal:
                return start
        return None

    def mark(self) -> None:
        """Set the stack aside and begin an empty one."""
        self.objects += 1
        self._set_aside.append(self.stack)
        self.stack = []

    def pop_mark(self, offset: int) -> list[Value]:
        """The values above the last MARK; the stack is what lay below it."""
        if not self._set_aside:
            raise self.refusal(offset, "no MARK is set")
        items = self.stack
        self.stack = self._set_aside.pop()
        return items

    def result(self, offset: int) -> Value:
        """The value STOP returns."""
        if not self.stack:
            raise self.refusal(offset, "STOP finds no value")
        left = len(self.stack) - 1 + sum(len(stack) + 1 for stack in self._set_aside)
        if left:
            self.odd(AnomalyKind.LEFTOVER_STACK, offset, f"{left} values")
        return self.stack[-1]
