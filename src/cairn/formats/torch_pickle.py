"""What is remarkable about a torch pickle as a program, and classes pickled with their source.

Source: `torch/serialization.py` (`_legacy_save`, `persistent_id`) of torch 2.13.
"""

from collections import Counter

from cairn.formats.notes import Notes
from cairn.formats.pickle_program import AnomalyKind, Global, PersistentId, PickleProgram


def note_anomalies(program: PickleProgram, notes: Notes) -> None:
    """Remark on what no well-behaved pickler writes, each kind once."""
    counts = Counter(anomaly.kind for anomaly in program.anomalies)
    for kind, count in counts.items():
        notes.add(f"pickle: {kind.value} ({count} times)")


def resolve_classes(program: PickleProgram, notes: Notes) -> None:
    """Let calls of a class that was pickled with its source be calls of the class.

    The legacy pickler writes the class of a module as the persistent id
    `("module", class, file, source)`; the calls are changed in place, and what the program
    reported about them is taken back.
    """
    resolved: set[int] = set()
    for call in program.calls:
        match call.callee:
            case PersistentId(id=("module", Global() as made, *_)):
                call.callee = made
                resolved.add(call.offset)
    if resolved:
        notes.add("carries the Python source of module classes, which is left alone")
    program.anomalies[:] = [
        anomaly
        for anomaly in program.anomalies
        if anomaly.kind is not AnomalyKind.CALLEE_COMPUTED or anomaly.offset not in resolved
    ]
