"""Texts in the headers of weights: credentials, commands and markup, and sheer size."""

from cairn.scanner.active_markup import actions_in
from cairn.scanner.credentials import credentials_in
from cairn.scanner.encoded_texts import note_encoded
from cairn.scanner.evidence.contents import ActiveText, Secret
from cairn.scanner.trace import Trace

# kohya's training tags reach megabytes.
_MOST_CHARS = 4_000_000


def note_header_text(key: str, text: str, trace: Trace) -> None:
    """Note what a value of a header holds beyond words; `key` is its name."""
    place = trace.at(pointer=key[:300])
    for found in credentials_in(text):
        trace.note(Secret(place, found.family, found.shown))
    for what, _ in actions_in(text):
        trace.note(ActiveText(place, f"metadata with {what}"))
    note_encoded(text, place, trace)
    if len(text) > _MOST_CHARS:
        trace.note(ActiveText(place, f"metadata of {len(text)} characters"))
