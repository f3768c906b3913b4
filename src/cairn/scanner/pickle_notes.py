"""Turns pickles, read as programs, into evidence: each kind of import and call once.

A program that breaks off did everything before, and unpicklers that see no break go on: so what
follows it is searched for more.
"""

from collections.abc import Set as AbstractSet

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_INT64
from cairn.formats.pickle_program import (
    AnomalyKind,
    Call,
    Extension,
    Global,
    PersistentId,
    PickleProgram,
)
from cairn.formats.pickle_values import kind_of
from cairn.scanner.carried_pickles import note_carried
from cairn.scanner.evidence.pickles import (
    CalledName,
    Expansion,
    ImportedName,
    Oddity,
    PersistentReference,
    PickleEnd,
)
from cairn.scanner.pickle_extent import extent_of, plain_values
from cairn.scanner.pickle_search import search
from cairn.scanner.pickle_sizes import sizes_asked_for, steers_a_logger
from cairn.scanner.trace import Trace
from cairn.scanner.unpickled_bytes import given_bytes

# More values than a checkpoint reaches; below that a loader that walks over all of them ends.
_MANY_NODES = 10_000_000
_NODES_PER_OPCODE = 100

# The pickler itself gives up at the interpreter's recursion limit, 1,000 by default.
_MOST_DEPTH = 10_000

_ID_CHARS = 100


def note_program(
    program: PickleProgram, start: int, source: Source, trace: Trace, *, of_torch: bool
) -> None:
    """Note what a program that begins at `start` does and carries, and where it breaks off.

    `of_torch`: its loader is torch's, which supplies storages for persistent ids.

    Raises:
        LimitError: searching what it carries takes more than the file's budget.
    """
    trace.note_form(f"pickle protocol {program.protocol}", start)
    note_deeds(program, 0, trace, followed=_enter_given_bytes(program, source, trace))
    _note_references(program, trace, of_torch=of_torch)
    for anomaly in program.anomalies:
        trace.note(Oddity(trace.at(anomaly.offset), anomaly.kind.name, anomaly.detail))
    for call in filter(steers_a_logger, program.calls):
        detail = "attributes of the process's own loggers"
        trace.note(Oddity(trace.at(call.offset), AnomalyKind.TARGET_MISMATCH.name, detail))
    trace.note(PickleEnd(trace.at(program.end), program.opcodes))
    if program.failure is not None:
        trace.refuse(program.failure)
        return
    _note_extent(program, start, trace)
    for call, size in sizes_asked_for(program.calls):
        trace.note(Expansion(trace.at(call.offset), min(size, MAX_INT64), 1))
    note_carried(plain_values((program.value, *program.calls)), source, trace)


def note_hidden(source: Source, start: int, trace: Trace) -> None:
    """Note what pickles do that begin anywhere after `start`, after a break or a last STOP.

    Raises:
        LimitError: there is more than the file's budget allows to search.
    """
    trace.spend(source.size_bytes - start)
    for base, program in search(source, start, source.size_bytes, trace.search_budget):
        note_deeds(program, base, trace)


def note_deeds(
    program: PickleProgram, base: int, trace: Trace, *, followed: AbstractSet[int] = frozenset()
) -> None:
    """Note what a program imports and calls; its offsets count from `base`.

    `followed` are the offsets of calls whose argument is examined as well.
    """
    imported: set[tuple[str, str, bool]] = set()
    for found in program.globals:
        words = (found.module, found.name, found.exact)
        if words not in imported:
            imported.add(words)
            place = trace.at(base + found.offset)
            trace.note(ImportedName(place, *words, of_script=trace.of_script))
    called: set[tuple[str, str, str, bool, bool]] = set()
    for call in program.calls:
        module, name, via, exact = _deed(call)
        is_followed = call.offset in followed
        deed = (module, name, via, exact, is_followed)
        if deed not in called:
            called.add(deed)
            trace.note(
                CalledName(
                    trace.at(base + call.offset),
                    module,
                    name,
                    via,
                    exact,
                    of_script=trace.of_script,
                    followed=is_followed,
                )
            )


def _deed(call: Call) -> tuple[str, str, str, bool]:
    match call.callee:
        case Global(module=module, name=name, exact=exact):
            return module, name, call.via, exact
        case Extension(code=code):
            return "copyreg", f"extension {code}", call.via, False
        case PersistentId(id=("module", Global(module=module, name=name, exact=exact), *_)):
            return module, name, call.via, exact  # how torch wrote classes before torch 1.6
    return "", "", call.via, False


def _enter_given_bytes(program: PickleProgram, source: Source, trace: Trace) -> AbstractSet[int]:
    """Examine what the program has unpickled, each once; the offsets of calls with such bytes.

    Raises:
        LimitError: they are more than the file's budget.
    """
    followed: set[int] = set()
    entered: set[tuple[int, int]] = set()
    for given in given_bytes(program.calls):
        followed.add(given.call.offset)
        if given.key in entered:
            continue
        entered.add(given.key)
        trace.spend(given.size_bytes)
        try:
            content = given.content(source)
        except ValueError:
            at = given.call.offset
            trace.refuse(MalformedError("what is unpickled is no bytes", offset=at))
            continue
        trace.enter(content.name, content)
    return followed


def _note_references(program: PickleProgram, trace: Trace, *, of_torch: bool) -> None:
    noted: set[str] = set()
    for reference in program.persistent_ids:
        match reference.id:
            case ("storage", *_) | ("module", Global(), *_) if of_torch:
                continue
            case (str(first), *_) | str(first):
                words = first[:_ID_CHARS]
            case _:
                words = kind_of(reference.id)
        if words not in noted:
            noted.add(words)
            trace.note(PersistentReference(trace.at(reference.offset), words))


def _note_extent(program: PickleProgram, start: int, trace: Trace) -> None:
    extent = extent_of(program.value)
    most = max(_MANY_NODES, _NODES_PER_OPCODE * program.opcodes)
    if extent.nodes > most or extent.depth > _MOST_DEPTH:
        trace.note(Expansion(trace.at(start), min(extent.nodes, MAX_INT64), extent.depth))
