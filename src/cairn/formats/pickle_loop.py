"""The loop over the opcodes of a pickle: each is decoded and carried out on a workspace.

It is most of what scanning a pickle costs, so it takes opcodes and plain numbers out of the tape's
block itself. What a frame promises is compared with where its opcodes end: loaders that read frame
by frame would see something else.
"""

from collections.abc import Sequence

from cairn.errors import LimitError
from cairn.formats.pickle_literals import Disputed
from cairn.formats.pickle_machine import Action
from cairn.formats.pickle_opcodes import CODES, NAMES, READERS, WIDTHS
from cairn.formats.pickle_tape import Tape
from cairn.formats.pickle_values import AnomalyKind, Value
from cairn.formats.pickle_workspace import Workspace

_STOP = CODES["STOP"]
_FRAME = CODES["FRAME"]


def carry_out(tape: Tape, work: Workspace, actions: Sequence[Action], max_opcodes: int) -> None:
    """Carry out every opcode up to and with STOP; anomalies are reported to the workspace.

    Raises:
        MalformedError: an unknown opcode, a truncated or impossible argument, no STOP, or an opcode
            that cannot be carried out.
        LimitError: a line longer than the cap, more opcodes than `max_opcodes`.
    """
    widths, from_bytes = WIDTHS, int.from_bytes
    frame_end = offset = code = 0
    safe_steps = min(max_opcodes, work.max_objects)
    try:
        for step in range(1, max_opcodes + 2):
            at = tape.at
            tape.opcode = offset = tape.base + at
            try:
                code = tape.block[at]
            except IndexError:
                code = tape.refilled()
                at = 0
            tape.at = at = at + 1
            width = widths[code]
            argument: Value = None
            if width:
                end = at + width
                if width > 0 and end <= len(tape.block):
                    tape.at = end
                    argument = from_bytes(tape.block[at:end], "little")
                else:
                    argument = _argument(tape, work, code)
            work.steps = step
            if step > safe_steps:
                _check_budget(tape, work, max_opcodes)
            end = tape.position if frame_end else 0
            actions[code](work, offset, argument)
            if frame_end and (end >= frame_end or tape.position != end):
                # What is passed over from inside a frame comes from behind it to a loader.
                if end != frame_end:
                    work.odd(AnomalyKind.FRAME_CROSSED, offset, NAMES[code])
                frame_end = 0
            if code == _STOP:
                return
            if code == _FRAME:
                frame_end = _frame(tape, work, argument, frame_end)
    except IndexError:
        raise work.refusal(offset, f"{NAMES[code]} finds too few values on the stack") from None


def _check_budget(tape: Tape, work: Workspace, max_opcodes: int) -> None:
    if work.steps > max_opcodes:
        why = f"the pickle has more than {max_opcodes} opcodes"
    elif work.objects > work.max_objects:
        why = "the pickle makes more objects than allowed"
    else:
        return
    raise LimitError(why, source=tape.name, offset=tape.opcode)


def _argument(tape: Tape, work: Workspace, code: int) -> Value:
    argument = READERS[code](tape)
    if type(argument) is Disputed:
        work.odd(argument.kind, tape.opcode, argument.detail)
        return argument.value
    return argument


def _frame(tape: Tape, work: Workspace, length: Value, last: int) -> int:
    """Where the frame ends that begins here, 0 for none; `last` is where the one around it does."""
    assert isinstance(length, int)
    if last:
        work.odd(AnomalyKind.FRAME_NESTED, tape.opcode)
    end = tape.position + length if length else 0
    if end > tape.size:
        work.odd(AnomalyKind.FRAME_PAST_END, tape.opcode, f"{length} bytes")
    return end
