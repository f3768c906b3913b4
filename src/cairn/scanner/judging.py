"""Judges evidence, which needs neither the file nor what takes files apart."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256

from cairn.domain import Digest, FileReport, Finding, Place, Verdict
from cairn.plugins import Registry
from cairn.scanner.advisories import AdvisoryData, floors_of
from cairn.scanner.evidence.base import Evidence, Form
from cairn.scanner.evidence.contents import KnownBad
from cairn.scanner.rule import Rule
from cairn.scanner.rules import RULES
from cairn.scanner.tables import table_files

_TABLES = ("package_sources", "allowed", "dangerous", "graph_operations")


def judge(evidence: Iterable[Evidence], rules: Registry[Rule] = RULES) -> tuple[Finding, ...]:
    """What is wrong with some evidence, in its order."""
    by_kind = _by_kind(rules)
    return tuple(
        finding
        for one in evidence
        for rule in by_kind.get(type(one), ())
        for finding in rule.judge(one)
    )


def is_malicious(evidence: Evidence) -> bool:
    """Whether a rule says of this alone that it is malicious."""
    return any(finding.verdict is Verdict.MALICIOUS for finding in judge((evidence,)))


@lru_cache(maxsize=8)
def _by_kind(rules: Registry[Rule]) -> Mapping[type[Evidence], list[Rule]]:
    by_kind: dict[type[Evidence], list[Rule]] = {}
    for rule in rules:
        for kind in rule.about:
            by_kind.setdefault(kind, []).append(rule)
    return by_kind


def report_of(
    path: str,
    size_bytes: int,
    evidence: tuple[Evidence, ...],
    advisories: AdvisoryData | None = None,
    digest: Digest | None = None,
) -> FileReport:
    """The report on a file by what was gathered of it and what is known of its digest."""
    data = advisories or AdvisoryData()
    noted = (*known_bad(data, digest), *evidence)
    forms = dict.fromkeys(one.name for one in evidence if isinstance(one, Form))
    loaders = floors_of(evidence, data.floors)
    return FileReport(path, size_bytes, tuple(forms), judge(noted), digest, loaders)


def known_bad(advisories: AdvisoryData, digest: Digest | None) -> tuple[Evidence, ...]:
    """Evidence that these bytes are known to be bad, if they are."""
    known = None if digest is None else advisories.known(digest)
    return () if known is None else (KnownBad(Place(), known.reason, known.source),)


def judging_version(advisories: AdvisoryData) -> str:
    """Names the rules with the files known to be bad: another one means that verdicts may differ.

    Other advisories change no verdict.
    """
    known = advisories.known_version
    return f"{rules_version()}+{known}" if known else rules_version()


def rules_version(rules: Registry[Rule] = RULES) -> str:
    """Names the rules and their tables: another one means that verdicts may differ."""
    digest = sha256()
    for rule in sorted(rules, key=lambda rule: rule.name):
        digest.update(f"{rule.name} {rule.version}\n".encode())
    for folder in _TABLES:
        for path in table_files(folder):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
