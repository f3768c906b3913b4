"""Takes a file apart into evidence, and judges evidence: two steps, the second without the file."""

from collections.abc import Callable, Iterable
from hashlib import sha256

from cairn.domain import Digest, FileReport, Finding, Place, Source
from cairn.errors import UntrustedDataError
from cairn.formats.limits import HEAD_BYTES
from cairn.plugins import Registry
from cairn.scanner.advisories import AdvisoryData, floors_of
from cairn.scanner.allowed import allowed_names, limited_calls
from cairn.scanner.dangerous import dangerous_modules
from cairn.scanner.evidence.base import Evidence, Form, Unread
from cairn.scanner.evidence.contents import KnownBad
from cairn.scanner.extractor import Extractor
from cairn.scanner.extractors import EXTRACTORS
from cairn.scanner.graph_operations import all_rulings
from cairn.scanner.rule import Rule
from cairn.scanner.rules import RULES
from cairn.scanner.trace import Budget, Trace


def gather(
    source: Source,
    extractors: Registry[Extractor] = EXTRACTORS,
    tell: Callable[[Evidence], object] = lambda _: None,
) -> tuple[Evidence, ...]:
    """What a file holds, as all who claim it see it; never raises for what the bytes say.

    `tell` is given each piece of evidence as soon as it is noted.
    """

    def examine(content: Source, trace: Trace) -> None:
        head = content.read_at(0, HEAD_BYTES)
        claimed = False
        for extractor in extractors:
            if extractor.claims(head, content):
                claimed = True
                trace.note(Form(trace.at(), extractor.name))
                try:
                    extractor.extract(content, trace)
                except UntrustedDataError as error:
                    trace.refuse(error)
        if not claimed and content.size_bytes:
            trace.note(Unread(trace.at(0), "nothing here reads content of this form"))

    trace = Trace(examine, Budget(tell=tell))
    examine(source, trace)
    return trace.evidence


def judge(evidence: Iterable[Evidence], rules: Registry[Rule] = RULES) -> tuple[Finding, ...]:
    """What is wrong with some evidence, in its order."""
    by_kind: dict[type[Evidence], list[Rule]] = {}
    for rule in rules:
        for kind in rule.about:
            by_kind.setdefault(kind, []).append(rule)
    return tuple(
        finding
        for one in evidence
        for rule in by_kind.get(type(one), ())
        for finding in rule.judge(one)
    )


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
    for module, name in sorted(allowed_names()):
        calls = limited_calls().get((module, name), "")
        digest.update(f"{module} {name} {calls}\n".encode())
    for module, danger in sorted(dangerous_modules().items()):
        digest.update(f"{module} {danger.calls_only}\n".encode())
    for framework, domain, name, harmless in all_rulings():
        digest.update(f"{framework} {domain} {name} {harmless}\n".encode())
    return digest.hexdigest()[:16]


def extraction_version(extractors: Registry[Extractor] = EXTRACTORS) -> str:
    """Names the extractors: another one means that evidence may differ."""
    digest = sha256()
    for extractor in sorted(extractors, key=lambda extractor: extractor.name):
        digest.update(f"{extractor.name} {extractor.version}\n".encode())
    return digest.hexdigest()[:16]
