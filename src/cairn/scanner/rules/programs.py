"""Programs where there should be data."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import LAUNCHER, Program
from cairn.scanner.rule import Rule

_SCRIPTS = (
    *(".sh", ".bash", ".zsh", ".py", ".pl", ".rb", ".js", ".cgi", ".ksh", ".awk", ".fish"),
    *(".bat", ".cmd", ".php", ".lua", ".r", ".jl", ".tcl"),
)
_BINARIES = (".exe", ".dll", ".so", ".dylib", ".wasm", ".pyd", ".com", ".sys", ".o", ".llamafile")
_EICAR = "EICAR test file"


class Programs(Rule):
    """There is a program where data should be.

    Weights need no machine code. A program under a name that says it is data waits for something
    else to start it; inside a tensor it travels unseen. Under a name of its own (`.so`, `.exe`)
    it is only suspicious, and scripts that say what they are (`.sh`, `.bat`) are not judged here.
    So are files that desktops start at a click for their name alone (`.desktop`, `.lnk`, `.hta`).
    """

    name: ClassVar[str] = "programs"
    title: ClassVar[str] = "A program where data should be"
    about: ClassVar[tuple[type[Evidence], ...]] = (Program,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each program."""
        assert isinstance(evidence, Program)
        called = evidence.called.lower()
        if evidence.family == "script" and (called.endswith(_SCRIPTS) or "." not in called):
            return
        open_about_it = not called or called.endswith(_BINARIES) or evidence.family == LAUNCHER
        hidden = evidence.family == _EICAR or not open_about_it
        where = f"under the name {evidence.called}" if called else "inside other data"
        yield Finding(
            self.name,
            Verdict.MALICIOUS if hidden else Verdict.SUSPICIOUS,
            f"{evidence.family} {where}",
            evidence.place,
            "Delete the file, or ask who made it what the program is for",
        )
