"""Lists of packages that come from elsewhere."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.scripts import InstallSource
from cairn.scanner.package_sources import is_known_host, is_known_index
from cairn.scanner.rule import Rule


class InstallSources(Rule):
    """Packages are installed from a place that is not commonly used, or not reached safely.

    Installing a package runs its code. With an index of its own beside the usual one a list of
    requirements decides which of two packages of one name is taken ("dependency confusion"); an
    address without encryption, or a host that is trusted without a certificate, lets others on the
    way decide. Known indexes, public mirrors and hosts of source code are on a list. A backend that
    lies in the folder itself (`backend-path`) runs as soon as somebody types `pip install .`.
    Install from the usual index, or look at what is there first.
    """

    name: ClassVar[str] = "install-sources"
    title: ClassVar[str] = "Installs packages from elsewhere"
    about: ClassVar[tuple[type[Evidence], ...]] = (InstallSource,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a source that is not on the list."""
        assert isinstance(evidence, InstallSource)
        if _is_usual(evidence.via, evidence.target):
            return
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"{evidence.via}: {evidence.target[:200]}",
            evidence.place,
            "Install from the usual index, or look at what is there first",
        )


def _is_usual(via: str, target: str) -> bool:
    match via:
        case "package index":
            return is_known_index(target)
        case "package":
            return is_known_host(target)
        case "trusted host":
            return is_known_host(f"https://{target}")
    return False
