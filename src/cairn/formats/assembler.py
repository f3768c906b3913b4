"""What an assembler is: it knows one way in which several files hold the tensors of one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from cairn.domain import Assembly, Layout
from cairn.formats.folder import Files


class Assembler(ABC):
    """One multi-file format. Subclasses hold no state, so one object serves all threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The format's stable name, as it appears in `Assembly.format`."""

    @abstractmethod
    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """The files or folders among a checkpoint's paths that an assembly is named by.

        Judged by names alone; must not raise.
        """

    @abstractmethod
    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """Put together what belongs to one anchor; None if it is not of this format after all.

        `layouts` holds what single files have already been read as.

        Raises:
            UntrustedDataError: the files contradict each other, or one is missing or malformed.
        """
