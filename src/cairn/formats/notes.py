"""A bounded list of oddities met while reading a file."""

from collections.abc import Iterable

from cairn.formats.limits import MAX_NOTES
from cairn.formats.naming import printable

_MAX_NOTE_CHARS = 500


class Notes:
    """Collects distinct remarks in order; beyond the cap they are only counted."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Begin with remarks that were collected before."""
        self._notes: dict[str, None] = dict.fromkeys(known)
        self._dropped = 0

    def add(self, note: str) -> None:
        """Remember a remark once."""
        note = printable(note, _MAX_NOTE_CHARS)
        if note in self._notes:
            return
        if len(self._notes) >= MAX_NOTES:
            self._dropped += 1
        else:
            self._notes[note] = None

    def listed(self) -> tuple[str, ...]:
        """The remarks, with a last one that counts those left out."""
        if not self._dropped:
            return tuple(self._notes)
        return (*self._notes, f"and {self._dropped} more remarks like these")
