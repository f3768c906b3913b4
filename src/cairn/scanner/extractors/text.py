"""Text: UTF-8 without control characters. Nothing reads more into it than its other forms say.

Credentials are looked for in it, and what has been written to steer git or antivirus programs.
"""

from codecs import getincrementaldecoder
from re import compile as pattern
from typing import ClassVar

from cairn.domain import Source
from cairn.scanner.active_markup import markup_in
from cairn.scanner.credentials import credentials_in
from cairn.scanner.evidence.contents import ActiveText, GitControl, Program, Secret
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

_BLOCK_BYTES = 4 << 20
# A credential cut in two by the end of a block is found in the part that both blocks share.
_SHARED_CHARS = 4096
_CONTROLS = pattern(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_LFS = "version https://git-lfs.github.com/spec/"
# https://www.eicar.org/download-anti-malware-testfile/; in two parts, or antivirus programs would
# take this module for it.
_EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
# https://owasp.org/www-community/vulnerabilities/XML_External_Entity_(XXE)_Processing: PMML,
# OpenVINO and others keep models in XML; none of them declares entities.
_XML = pattern(r"\ufeff?\s*<(?:\?xml|!DOCTYPE)")
_ENTITIES = pattern(r"<!ENTITY\b|<!DOCTYPE\s+[\w:.-]+\s+SYSTEM\b")
_FILTER = pattern(r"(?m)^[^#\n]*\bfilter=(?!lfs\b)(\S+)")


class TextExtractor(Extractor):
    """Whatever people and programs write to be read by people."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`text`."""
        return "text"

    def claims(self, head: bytes, source: Source) -> bool:
        """All of it decodes: a text that turns into bytes half-way is no text."""
        if _CONTROLS.search(head.decode("latin-1")):
            return False
        decoder = getincrementaldecoder("utf-8")()
        try:
            for at in range(0, source.size_bytes, _BLOCK_BYTES):
                if _CONTROLS.search(decoder.decode(source.read_at(at, _BLOCK_BYTES))):
                    return False
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return bool(head)

    def extract(self, source: Source, trace: Trace) -> None:
        """Look for credentials and for what steers git."""
        trace.spend(source.size_bytes)
        name = base_name(source)
        tail = ""
        decoder = getincrementaldecoder("utf-8")()
        for at in range(0, source.size_bytes, _BLOCK_BYTES):
            text = tail + decoder.decode(source.read_at(at, _BLOCK_BYTES))
            _note_block(text, max(0, at - len(tail)), trace)
            if at == 0:
                _note_start(text, name, source, trace)
            tail = text[-_SHARED_CHARS:]


def _note_block(text: str, start: int, trace: Trace) -> None:
    for found in credentials_in(text):
        trace.note(Secret(trace.at(start + found.at), found.family, found.shown))
    if _EICAR in text:
        trace.note(Program(trace.at(start + text.index(_EICAR)), "EICAR test file", "text"))


def _note_start(text: str, name: str, source: Source, trace: Trace) -> None:
    if text.startswith(_LFS):
        trace.note(GitControl(trace.at(0), "a Git LFS pointer in place of the file itself"))
    if name == ".gitmodules" or text.startswith("[submodule "):
        trace.note(GitControl(trace.at(0), "submodules, which clones may fetch from elsewhere"))
    if name == ".gitattributes":
        for found in _FILTER.finditer(text):
            what = f"the filter {found[1][:100]}, a command of the user's configuration"
            trace.note(GitControl(trace.at(found.start()), what))
    if ".git/" in source.name.replace("\\", "/"):
        trace.note(GitControl(trace.at(), "a file of git's own folder, such as a hook"))
    for found in _ENTITIES.finditer(text if _XML.match(text) else ""):
        what = "an XML document with entities of its own, or of another file"
        trace.note(ActiveText(trace.at(found.start()), what))
        break
    if "<svg" in text[:4096]:
        for what, at in markup_in(text):
            trace.note(ActiveText(trace.at(at), f"an image with {what}"))
