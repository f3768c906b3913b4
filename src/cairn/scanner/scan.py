"""Takes a file apart into evidence; `judging` says what it means, without the file."""

from collections.abc import Callable
from hashlib import sha256

from cairn.domain import Source
from cairn.errors import UntrustedDataError
from cairn.formats.limits import HEAD_BYTES
from cairn.plugins import Registry
from cairn.scanner.deferred import real
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.extractors import EXTRACTORS
from cairn.scanner.judging import is_malicious
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
                trace.note_form(extractor.name)
                try:
                    extractor.extract(content, trace)
                except UntrustedDataError as error:
                    trace.refuse(error)
        if not claimed and content.size_bytes:
            trace.note(Unread(trace.at(0), "nothing here reads content of this form"))

    trace = Trace(examine, Budget(tell=tell, is_malicious=is_malicious))
    examine(source, trace)
    return trace.evidence


def extraction_version(extractors: Registry[Extractor] = EXTRACTORS) -> str:
    """Names the extractors: another one means that evidence may differ."""
    digest = sha256()
    for extractor in sorted(extractors, key=lambda extractor: extractor.name):
        digest.update(f"{extractor.name} {real(extractor).version}\n".encode())
    return digest.hexdigest()[:16]
