"""What a scan finds: verdicts, findings with their places, reports of files and of all files."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cairn.domain.advisories import LoaderFloor
from cairn.domain.digests import Digest


class Verdict(Enum):
    """How a file stands, from the best to the worst.

    Only what was read whole and found harmless is clean.
    """

    CLEAN = "clean"
    UNREAD = "unread"
    MALFORMED = "malformed"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"

    @property
    def rank(self) -> int:
        """0 for clean, more for worse."""
        return _RANKS[self]

    @property
    def is_dangerous(self) -> bool:
        """Whether something was found that harms, or may: not only that nobody knows."""
        return self in (Verdict.SUSPICIOUS, Verdict.MALICIOUS)

    @classmethod
    def worst(cls, verdicts: "Iterable[Verdict]") -> "Verdict":
        """The worst of some; clean if there are none."""
        return max(verdicts, key=lambda verdict: verdict.rank, default=cls.CLEAN)


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something was found.

    `members` lead from the file into archives and streams inside it. `offset` counts bytes in the
    innermost of them; `pointer` is a JSON pointer (RFC 6901) or a path of names where the content
    is a tree.
    """

    members: tuple[str, ...] = ()
    offset: int | None = None
    pointer: str = ""

    def __str__(self) -> str:
        """`archive/data.pkl at byte 12`, for messages."""
        parts = [" > ".join(self.members), self.pointer]
        if self.offset is not None:
            parts.append(f"at byte {self.offset}")
        return " ".join(part for part in parts if part) or "the file"


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a file is not clean: which rule says so, where, in words, and what to do.

    `message` and `excerpt` may quote hostile bytes: whoever shows them escapes them.
    """

    rule: str
    verdict: Verdict
    message: str
    place: Place
    advice: str = ""
    excerpt: str = ""

    def __post_init__(self) -> None:
        if self.verdict is Verdict.CLEAN:
            raise ValueError("nothing is found in what is clean")


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a scan says of one file; `forms` are what its content was read as.

    `loaders`: which releases of what would load it have no known flaw. That is no finding.
    """

    path: str
    size_bytes: int
    forms: tuple[str, ...]
    findings: tuple[Finding, ...]
    digest: Digest | None = None
    loaders: tuple[LoaderFloor, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """That of the worst finding."""
        return Verdict.worst(finding.verdict for finding in self.findings)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan by one version of the rules says of some files."""

    rules_version: str
    files: tuple[FileReport, ...]
    advisories_version: str = ""

    @property
    def verdict(self) -> Verdict:
        """That of the worst file."""
        return Verdict.worst(file.verdict for file in self.files)
