"""What a reader is: it recognises one format by its bytes and lays a file of it out."""

from abc import ABC, abstractmethod

from cairn.domain import Layout, Source


class Reader(ABC):
    """One file format. Subclasses hold no state, so one object serves all threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The format's stable name, as it appears in `Layout.format`."""

    @abstractmethod
    def recognises(self, head: bytes, source: Source) -> bool:
        """Whether a file is of this format, well-formed or not.

        `head` holds the first `HEAD_BYTES` of the source (fewer if it is shorter). Must not
        raise; the name of the source is no evidence.
        """

    @abstractmethod
    def read(self, source: Source) -> Layout:
        """Lay the file out from its headers alone.

        Memory and work stay within a constant times the bytes read.

        Raises:
            UntrustedDataError: the only error any bytes may cause.
        """
