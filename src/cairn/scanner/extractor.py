"""What an extractor is: it takes content of one form apart and notes evidence."""

from abc import ABC, abstractmethod
from typing import ClassVar

from cairn.domain import Source
from cairn.scanner.trace import Trace


class Extractor(ABC):
    """One form of content. Subclasses hold no state and never run what they read.

    `version` counts changes of what it notes of the same bytes: they are read anew when it grows.
    """

    version: ClassVar[int] = 1

    @property
    @abstractmethod
    def name(self) -> str:
        """The form's stable name, as reports have it."""

    @abstractmethod
    def claims(self, head: bytes, source: Source) -> bool:
        """Whether some loader would take the content for this form.

        By its bytes; a name counts only where loaders go by it. Several extractors may claim
        the same content, and all of them take it apart: what one loader sees as a zip archive
        may be a pickle to another. `head` holds the first `HEAD_BYTES` of the source. Must not
        raise.
        """

    @abstractmethod
    def extract(self, source: Source, trace: Trace) -> None:
        """Note what the content holds; what it cannot follow it notes as `Unread` or `Broken`.

        Memory and work stay within a constant times the bytes read and the trace's budget.

        Raises:
            UntrustedDataError: the only error any bytes may cause; the trace notes it.
        """
