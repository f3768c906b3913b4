"""The target: bytes go through one extractor of the scanner, or all, and evidence is judged.

    python -m fuzz.scanner NAME CORPUS [libFuzzer options]

NAME is an extractor's, or `all`. The first byte of an input says which name the file has, for
extractors that go by it. An extractor may raise `UntrustedDataError`; evidence must survive being
written down. Of `pickle`, what CPython's own unpicklers would import must be known, or the file is
not clean. They find an inert object under every name. https://github.com/google/atheris
"""

import sys
from contextlib import suppress

import atheris

from fuzz.late_imports import import_all

with atheris.instrument_imports(include=["cairn"]):
    from cairn.domain import Source, Verdict
    from cairn.errors import UntrustedDataError
    from cairn.formats import BytesSource
    from cairn.scanner import EXTRACTORS, gather, judge, report_of
    from cairn.scanner.evidence.kinds import decode, encode
    from cairn.scanner.evidence.pickles import ImportedName
    from cairn.scanner.trace import Trace

    import_all("cairn.formats", "cairn.scanner")

from fuzz.seeds import SCANNED_NAMES
from tests.scanner.import_oracle import InC, InPython, imports_of
from tests.scanner.test_soundness import can_be_meant

ALL = "all"


def scan(name: str, data: bytes) -> None:
    """What the scanning process does with a file, and the judge with what it says."""
    if not data:
        return
    source = BytesSource(data[1:], SCANNED_NAMES[data[0] % len(SCANNED_NAMES)])
    if name == ALL:
        evidence = gather(source)
    else:
        trace = Trace(_leave)
        extractor = EXTRACTORS.get(name)
        if not extractor.claims(data[1:4097], source):
            return
        with suppress(UntrustedDataError):
            extractor.extract(source, trace)
        evidence = trace.evidence
    assert tuple(decode(encode(one)) for one in evidence) == evidence
    judge(evidence)
    if name == "pickle":
        _check_soundness(source)


def _leave(content: Source, trace: Trace) -> None:
    """Content inside content is another target's."""
    del content, trace


def _check_soundness(source: BytesSource) -> None:
    data = source.read_at(0, source.size_bytes)
    evidence = gather(BytesSource(data, "file.pkl"))
    if report_of("file.pkl", len(data), evidence).verdict is not Verdict.CLEAN:
        return
    known = {(one.module, one.name) for one in evidence if isinstance(one, ImportedName)}
    for kind in (InC, InPython):
        for module, name in imports_of(data, kind):
            assert (module, name) in known or not can_be_meant(module, name), (module, name)


def main() -> None:
    """Fuzz the extractor named first; the other arguments are libFuzzer's."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: scan(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
