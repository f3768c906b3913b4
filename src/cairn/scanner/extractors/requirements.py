"""Lists of packages for pip and conda, and settings that say where these come from."""

from re import compile as pattern
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.scanner.evidence.scripts import InstallSource
from cairn.scanner.extractor import Extractor
from cairn.scanner.install_text import sources_in_line
from cairn.scanner.paths import base_name
from cairn.scanner.shell_text import MAX_SCRIPT_BYTES, commands
from cairn.scanner.trace import Trace

_NAMES = pattern(
    r"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in|pip)|pip\.(?:conf|ini)"
    r"|(?:conda|environment)(?:[-_.].*)?\.ya?ml"
)
_MOST_SHOWN = 300


class RequirementsExtractor(Extractor):
    """Such lists by their names, which is how people hand them to an installer."""

    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """`requirements`."""
        return "requirements"

    def claims(self, head: bytes, source: Source) -> bool:
        """`requirements.txt`, `dev-requirements.txt`, `pip.conf`, `environment.yml`, ..."""
        return b"\0" not in head and bool(_NAMES.fullmatch(base_name(source)))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each address that packages come from."""
        if source.size_bytes > MAX_SCRIPT_BYTES:
            raise LimitError(f"requirements of {source.size_bytes} bytes", source=source.name)
        text = source.read_at(0, source.size_bytes).decode("utf-8", "replace")
        for line, command in commands(text):
            for via, target in sources_in_line(command):
                place = trace.at(pointer=f"line {line}")
                trace.note(InstallSource(place, via, target[:_MOST_SHOWN]))
