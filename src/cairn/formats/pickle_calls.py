"""What the pickle opcodes that name, call and refer do to a workspace: records, never acts."""

from cairn.formats.pickle_values import (
    AnomalyKind,
    Buffer,
    Call,
    Extension,
    Global,
    PersistentId,
    Value,
    kind_of,
)
from cairn.formats.pickle_workspace import Workspace

_ARRAY_STATE = 5  # version, shape, dtype, order and elements of a NumPy array


def name_global(work: Workspace, offset: int, argument: Value) -> None:
    """GLOBAL: push an importable name."""
    assert isinstance(argument, tuple)
    found = Global(argument[0], argument[1], offset)
    work.globals.append(found)
    work.make(found)


def stack_global(work: Workspace, offset: int, _: Value) -> None:
    """STACK_GLOBAL: push the name made of two strings on the stack."""
    name, module = work.stack.pop(), work.stack.pop()
    if type(name) is str and type(module) is str:
        name_global(work, offset, (module, name))
        return
    work.odd(AnomalyKind.GLOBAL_COMPUTED, offset)
    found = Global(
        module if type(module) is str else "",
        name if type(name) is str else "",
        offset,
        exact=False,
    )
    work.globals.append(found)
    work.make(found)


def name_extension(work: Workspace, offset: int, argument: Value) -> None:
    """EXT1, EXT2, EXT4: push a name from the extension registry."""
    assert isinstance(argument, int)
    work.odd(AnomalyKind.EXTENSION, offset, f"code {argument}")
    work.make(Extension(argument, offset))


def record_call(
    work: Workspace, offset: int, callee: Value, args: Value, via: str, kwargs: Value = None
) -> None:
    """Push what calling `callee` would give."""
    if type(callee) is not Global:
        work.odd(AnomalyKind.CALLEE_COMPUTED, offset, f"{via} of {kind_of(callee)}")
    if type(args) is not tuple:
        work.odd(AnomalyKind.ARGUMENTS_COMPUTED, offset, f"{via} with {kind_of(args)}")
    call = Call(callee, args, offset, via, kwargs)
    work.calls.append(call)
    work.make(call)


def reduce_call(work: Workspace, offset: int, _: Value) -> None:
    """REDUCE: call the global below its argument tuple."""
    args, callee = work.stack.pop(), work.stack.pop()
    record_call(work, offset, callee, args, "REDUCE")
    if type(args) is tuple and args and type(args[0]) in (str, bytes):
        work.calls[-1].literal_at = work.place_of(args[0])


def newobj(work: Workspace, offset: int, _: Value) -> None:
    """NEWOBJ: make an object without calling its `__init__`."""
    args, callee = work.stack.pop(), work.stack.pop()
    record_call(work, offset, callee, args, "NEWOBJ")


def newobj_ex(work: Workspace, offset: int, _: Value) -> None:
    """NEWOBJ_EX: as NEWOBJ, with keyword arguments."""
    kwargs, args, callee = work.stack.pop(), work.stack.pop(), work.stack.pop()
    record_call(work, offset, callee, args, "NEWOBJ_EX", kwargs)


def instance(work: Workspace, offset: int, argument: Value) -> None:
    """INST: call a named class on the values above the mark."""
    assert isinstance(argument, tuple)
    found = Global(argument[0], argument[1], offset)
    work.globals.append(found)  # before the mark is looked for: so does the Python unpickler
    args = tuple(work.pop_mark(offset))
    record_call(work, offset, found, args, "INST")


def marked_call(work: Workspace, offset: int, _: Value) -> None:
    """OBJ: call the first value above the mark on the others."""
    items = work.pop_mark(offset)
    record_call(work, offset, items[0], tuple(items[1:]), "OBJ")


def build(work: Workspace, offset: int, _: Value) -> None:
    """BUILD: give an object its state."""
    state = work.stack.pop()
    target = work.stack[-1]
    if type(target) is not Call:
        work.odd(AnomalyKind.TARGET_MISMATCH, offset, f"BUILD of {kind_of(target)}")
    elif target.states is None:
        work.objects += 1
        target.states = [state]
        if type(state) is tuple and len(state) == _ARRAY_STATE and type(state[-1]) is bytes:
            target.literal_at = work.place_of(state[-1])
    else:
        target.states.append(state)


def persistent_line(work: Workspace, offset: int, argument: Value) -> None:
    """PERSID: push a reference for the loader to resolve."""
    found = PersistentId(argument, offset)
    work.persistent_ids.append(found)
    work.make(found)


def persistent_value(work: Workspace, offset: int, _: Value) -> None:
    """BINPERSID: as PERSID, the id being a value."""
    persistent_line(work, offset, work.stack.pop())


def outside_buffer(work: Workspace, offset: int, _: Value) -> None:
    """NEXT_BUFFER: push a buffer that travels beside the pickle."""
    work.odd(AnomalyKind.BUFFER_OUT_OF_BAND, offset)
    work.make(Buffer(offset))


def readonly_buffer(work: Workspace, _: int, __: Value) -> None:
    """READONLY_BUFFER: make the buffer on top read-only."""
    target = work.stack[-1]
    if type(target) is Buffer:
        target.readonly = True
