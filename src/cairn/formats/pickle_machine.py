"""What each pickle opcode does to a workspace: inert values are built, nothing is called.

Sources: `Lib/pickle.py` (`_Unpickler`) and `Modules/_pickle.c` of CPython 3.14.
"""

from collections.abc import Callable
from typing import Any

from cairn.formats.pickle_calls import (
    build,
    instance,
    marked_call,
    name_extension,
    name_global,
    newobj,
    newobj_ex,
    outside_buffer,
    persistent_line,
    persistent_value,
    readonly_buffer,
    reduce_call,
    stack_global,
)
from cairn.formats.pickle_opcodes import CODES, NAMES
from cairn.formats.pickle_values import (
    AnomalyKind,
    Call,
    Mapping,
    Members,
    Value,
    kind_of,
)
from cairn.formats.pickle_workspace import Workspace

_HIGHEST_PROTOCOL = 5
# CPython's pickler numbers memo entries one by one; an index this far ahead of the count
# only serves to make the C unpickler allocate its memo array.
_MEMO_SLACK = 1 << 20

Action = Callable[[Workspace, int, Value], None]


# --- stack and memo ----------------------------------------------------------------


def _mark(work: Workspace, _: int, __: Value) -> None:
    work.mark()


def _pop(work: Workspace, offset: int, _: Value) -> None:
    if work.stack:
        work.stack.pop()
    else:
        work.pop_mark(offset)


def _drop_mark(work: Workspace, offset: int, _: Value) -> None:
    work.pop_mark(offset)


def _dup(work: Workspace, _: int, __: Value) -> None:
    work.stack.append(work.stack[-1])


def _push(work: Workspace, _: int, argument: Value) -> None:
    work.stack.append(argument)


def _text(header_bytes: int) -> Action:
    """Push a text whose UTF-8 begins so far behind the opcode."""

    def action(work: Workspace, offset: int, argument: Value) -> None:
        work.text_before = work.last_text
        work.last_text = (offset + header_bytes, argument)
        work.stack.append(argument)

    return action


def _bytes(header_bytes: int) -> Action:
    """Push a bytes object that begins so far behind the opcode."""

    def action(work: Workspace, offset: int, argument: Value) -> None:
        work.last_bytes = (offset + header_bytes, argument)
        work.stack.append(argument)

    return action


def _get(work: Workspace, offset: int, argument: Any) -> None:
    try:
        work.stack.append(work.memo[argument])
    except KeyError:
        raise work.refusal(offset, f"memo entry {argument} was never written") from None


def _put(work: Workspace, offset: int, argument: Any) -> None:
    memo = work.memo
    value = work.stack[-1]
    if argument not in memo:
        work.objects += 1
        if argument > work.steps + _MEMO_SLACK:
            work.odd(AnomalyKind.MEMO_HUGE_INDEX, offset, f"entry {argument}")
    elif memo[argument] is not value:
        work.odd(AnomalyKind.MEMO_REPLACED, offset, f"entry {argument}")
    memo[argument] = value


def _memoize(work: Workspace, offset: int, _: Value) -> None:
    memo = work.memo
    index = len(memo)
    if index in memo:  # other opcodes chose their own indexes
        _put(work, offset, index)
    else:
        work.objects += 1
        memo[index] = work.stack[-1]


# --- containers --------------------------------------------------------------------


def _tuple(work: Workspace, offset: int, _: Value) -> None:
    work.make(tuple(work.pop_mark(offset)))


def _list(work: Workspace, offset: int, _: Value) -> None:
    work.make(work.pop_mark(offset))


def _dict(work: Workspace, offset: int, _: Value) -> None:
    items = work.pop_mark(offset)
    if len(items) % 2:
        raise work.refusal(offset, "DICT finds a key without a value")
    work.make(Mapping(items))


def _frozenset(work: Workspace, offset: int, _: Value) -> None:
    work.make(Members(work.pop_mark(offset), frozen=True))


def _append(work: Workspace, offset: int, _: Value) -> None:
    value = work.stack.pop()
    target = work.stack[-1]
    if type(target) is list:
        target.append(value)
    else:
        _extend(work, offset, target, [value], "APPEND")


def _appends(work: Workspace, offset: int, _: Value) -> None:
    items = work.pop_mark(offset)
    _extend(work, offset, work.stack[-1], items, "APPENDS")


def _additems(work: Workspace, offset: int, _: Value) -> None:
    items = work.pop_mark(offset)
    _extend(work, offset, work.stack[-1], items, "ADDITEMS")


def _extend(work: Workspace, offset: int, target: Value, items: list[Value], opcode: str) -> None:
    if type(target) is list and opcode != "ADDITEMS":
        target.extend(items)
    elif type(target) is Call:
        if target.elements is None:
            work.objects += 1
            target.elements = items
        else:
            target.elements.extend(items)
    elif type(target) is Members and not target.frozen and opcode == "ADDITEMS":
        target.elements.extend(items)
    else:
        work.odd(AnomalyKind.TARGET_MISMATCH, offset, f"{opcode} to {kind_of(target)}")


def _setitem(work: Workspace, offset: int, _: Value) -> None:
    value, key = work.stack.pop(), work.stack.pop()
    _assign(work, offset, work.stack[-1], [key, value])


def _setitems(work: Workspace, offset: int, _: Value) -> None:
    items = work.pop_mark(offset)
    if len(items) % 2:
        raise work.refusal(offset, "SETITEMS finds a key without a value")
    _assign(work, offset, work.stack[-1], items)


def _assign(work: Workspace, offset: int, target: Value, items: list[Value]) -> None:
    if type(target) is Mapping:
        target.items.extend(items)
    elif type(target) is Call:
        if target.items is None:
            work.objects += 1
            target.items = items
        else:
            target.items.extend(items)
    else:
        work.odd(AnomalyKind.TARGET_MISMATCH, offset, f"items set on {kind_of(target)}")


def _proto(work: Workspace, offset: int, argument: Value) -> None:
    assert isinstance(argument, int)
    if work.steps > 1:
        work.odd(AnomalyKind.PROTOCOL_MOVED, offset)
    if argument > _HIGHEST_PROTOCOL:
        work.odd(AnomalyKind.PROTOCOL_UNKNOWN, offset, f"protocol {argument}")
    work.protocol = max(work.protocol, argument)


def _nothing(work: Workspace, _: int, __: Value) -> None:
    """FRAME is the decoder's business, STOP that of whoever runs the program."""


def _none(work: Workspace, _: int, __: Value) -> None:
    work.stack.append(None)


def _true(work: Workspace, _: int, __: Value) -> None:
    work.stack.append(True)


def _false(work: Workspace, _: int, __: Value) -> None:
    work.stack.append(False)


def _empty_tuple(work: Workspace, _: int, __: Value) -> None:
    work.stack.append(())


def _fresh(make: Callable[[], Value]) -> Action:
    return lambda work, _, __: work.make(make())


def _tuple_of(count: int) -> Action:
    def action(work: Workspace, _: int, __: Value) -> None:
        stack = work.stack
        if len(stack) < count:
            raise IndexError
        work.objects += 1
        stack[-count:] = [tuple(stack[-count:])]

    return action


_PUSHING = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"),
)
_BY_NAME: dict[str, Action] = {
    **dict.fromkeys(_PUSHING, _push),
    "SHORT_BINBYTES": _bytes(2),
    "BINBYTES": _bytes(5),
    "BINBYTES8": _bytes(9),
    "BYTEARRAY8": _bytes(9),
    "SHORT_BINUNICODE": _text(2),
    "BINUNICODE": _text(5),
    "BINUNICODE8": _text(9),
    "MARK": _mark,
    "STOP": _nothing,
    "FRAME": _nothing,
    "PROTO": _proto,
    "POP": _pop,
    "POP_MARK": _drop_mark,
    "DUP": _dup,
    "NONE": _none,
    "NEWTRUE": _true,
    "NEWFALSE": _false,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "EMPTY_TUPLE": _empty_tuple,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _tuple,
    "EMPTY_LIST": _fresh(list),
    "LIST": _list,
    "EMPTY_DICT": _fresh(lambda: Mapping([])),
    "DICT": _dict,
    "EMPTY_SET": _fresh(lambda: Members([], frozen=False)),
    "FROZENSET": _frozenset,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _additems,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "GLOBAL": name_global,
    "STACK_GLOBAL": stack_global,
    "EXT1": name_extension,
    "EXT2": name_extension,
    "EXT4": name_extension,
    "REDUCE": reduce_call,
    "NEWOBJ": newobj,
    "NEWOBJ_EX": newobj_ex,
    "INST": instance,
    "OBJ": marked_call,
    "BUILD": build,
    "PERSID": persistent_line,
    "BINPERSID": persistent_value,
    "NEXT_BUFFER": outside_buffer,
    "READONLY_BUFFER": readonly_buffer,
}
assert _BY_NAME.keys() == CODES.keys()


def _unreachable(work: Workspace, offset: int, _: Value) -> None:
    raise work.refusal(offset, "no pickle opcode has this number")


ACTIONS: list[Action] = [
    _BY_NAME[NAMES[code]] if code in NAMES else _unreachable for code in range(256)
]
"""What each opcode does. IndexError means that the stack held too few values."""
