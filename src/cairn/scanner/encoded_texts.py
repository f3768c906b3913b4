"""Texts that stand for something else: a pickle, a program or a command, in base64 or backwards.

Nothing decodes them by itself, but whoever spells a command so hides it from readers. What is told
by the letters alone is looked into: text put together from pieces, or enciphered, is not.
"""

import re

from cairn.domain import Place
from cairn.scanner.active_markup import commands_in
from cairn.scanner.carried_pickles import called_in, unpacked
from cairn.scanner.evidence.contents import ActiveText, Program
from cairn.scanner.evidence.pickles import CarriedPickle
from cairn.scanner.machine_code import PROGRAM_HEAD_BYTES, program_family
from cairn.scanner.text_encodings import MOST_CHARS, readings
from cairn.scanner.trace import Trace

# In base64, the shortest command that fetches something; names of tensors are as long.
SHORTEST_CHARS = 24
_ONE_WORD = re.compile(r"\s*\S+\s*|[A-Za-z0-9+/=\s]+")


def note_encoded(text: str, place: Place, trace: Trace) -> None:
    """Note what a text is in another encoding that runs: pickles, programs, commands.

    Raises:
        LimitError: searching takes more than the file's budget.
    """
    if len(text) > MOST_CHARS:  # what is hidden begins at one of the ends
        note_encoded(text[:MOST_CHARS], place, trace)
        note_encoded(text[-MOST_CHARS:], place, trace)
        return
    if len(text) < SHORTEST_CHARS or not _ONE_WORD.fullmatch(text):
        return
    for encoding, packed in readings(text.strip()):
        data = unpacked(packed, trace)
        trace.spend(len(data))
        for module, name in called_in(data, trace.search_budget):
            trace.note(CarriedPickle(place, encoding, module, name))
        family = program_family(data[:PROGRAM_HEAD_BYTES])
        if family:
            trace.note(Program(place, f"{family} in {encoding}"))
        if data.isascii():
            for what, _ in commands_in(data.decode("ascii")):
                trace.note(ActiveText(place, f"{what} in {encoding}"))
