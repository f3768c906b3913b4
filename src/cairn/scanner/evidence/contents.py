"""What files of any format may hold or point at: programs, secrets, active text, ways out."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence

LAUNCHER = "launcher"
"""The family of files that desktops start at a click for their name alone."""


@dataclass(frozen=True, slots=True)
class Program(Evidence):
    """Machine code or a script that a computer runs as it is.

    `family` says which kind. `called` is the name of the file that consists of it, empty if it
    lies inside something else, such as a tensor.
    """

    kind: ClassVar[str] = "program"

    family: str
    called: str = ""


@dataclass(frozen=True, slots=True)
class Disguise(Evidence):
    """The name of a file promises one form (`promised`), its first bytes are another's."""

    kind: ClassVar[str] = "disguise"

    promised: str
    found: str


@dataclass(frozen=True, slots=True)
class Reference(Evidence):
    """Something by which a loader would open another file or address: `via` says what."""

    kind: ClassVar[str] = "reference"

    via: str
    target: str


@dataclass(frozen=True, slots=True)
class Secret(Evidence):
    """Something that has the form of a credential; `shown` is what may be shown of it."""

    kind: ClassVar[str] = "secret"

    family: str
    shown: str


@dataclass(frozen=True, slots=True)
class ActiveText(Evidence):
    """Text in a place for plain words that a browser, shell or parser would act on."""

    kind: ClassVar[str] = "active-text"

    what: str


@dataclass(frozen=True, slots=True)
class KnownBad(Evidence):
    """The whole file is on a list of files known to be bad.

    Noted when a file is judged and never kept: lists change.
    """

    kind: ClassVar[str] = "known-bad"

    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class GitControl(Evidence):
    """A file that steers git: a pointer in place of content, a filter, a module, a hook."""

    kind: ClassVar[str] = "git-control"

    what: str
