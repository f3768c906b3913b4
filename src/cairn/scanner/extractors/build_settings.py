"""Settings of packages whose installation runs commands: `pyproject.toml` and `package.json`.

https://packaging.python.org/en/latest/specifications/pyproject-toml/,
https://docs.npmjs.com/cli/using-npm/scripts.
"""

import json
import tomllib
from collections.abc import Iterator
from typing import Any, ClassVar

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.scanner.evidence.scripts import InstallSource
from cairn.scanner.extractor import Extractor
from cairn.scanner.install_text import INDEX, PACKAGE, sources_in_line
from cairn.scanner.paths import base_name
from cairn.scanner.script_notes import note_commands
from cairn.scanner.shell_text import MAX_SCRIPT_BYTES
from cairn.scanner.trace import Trace

_TOML = ("pyproject.toml", "uv.toml", "pdm.toml", "poetry.toml", "pixi.toml", "pipfile")
_NPM = "package.json"
_BACKEND = "build backend in the folder itself"
# Under these keys, addresses are of indexes; under those, of single packages.
_INDEX_KEYS = frozenset(("index", "source", "index-url", "extra-index-url", "find-links"))
_PACKAGE_KEYS = frozenset(("dependencies", "requires", "sources", "optional-dependencies", "git"))
_MOST_SHOWN = 300


class BuildSettingsExtractor(Extractor):
    """Such settings by their names, which is how installers find them."""

    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """`build-settings`."""
        return "build-settings"

    def claims(self, head: bytes, source: Source) -> bool:
        """The names of the files alone."""
        del head
        return base_name(source) in (*_TOML, _NPM)

    def extract(self, source: Source, trace: Trace) -> None:
        """Note commands, indexes, packages by address, and a backend of its own."""
        if source.size_bytes > MAX_SCRIPT_BYTES:
            raise LimitError(f"settings of {source.size_bytes} bytes", source=source.name)
        for path, text in _texts(_parsed(source)):
            _note(path, text, trace)


def _parsed(source: Source) -> Any:
    text = source.read_at(0, source.size_bytes).decode("utf-8", "replace")
    is_json = base_name(source) == _NPM
    try:
        return json.loads(text) if is_json else tomllib.loads(text)
    except RecursionError:
        raise LimitError("the settings nest too deeply", source=source.name) from None
    except ValueError:
        form = "JSON" if is_json else "TOML"
        raise MalformedError(f"the settings are no {form}", source=source.name) from None


def _texts(root: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text with the keys above it; a list has the key of its owner."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            waiting += (((*path, str(key)), inner) for key, inner in value.items())
        elif isinstance(value, list):
            waiting += ((path, inner) for inner in value)


def _note(path: tuple[str, ...], text: str, trace: Trace) -> None:
    pointer = "/" + "/".join(key[:100] for key in path)
    place = trace.at(pointer=pointer)
    note_commands(text, trace, pointer)
    if path[-1:] == ("backend-path",):
        trace.note(InstallSource(place, _BACKEND, text[:_MOST_SHOWN]))
    via = next((v for keys, v in ((_INDEX_KEYS, INDEX), (_PACKAGE_KEYS, PACKAGE))
                if keys & set(path)), None)  # fmt: skip
    if via is not None:
        for _, target in sources_in_line(text):
            trace.note(InstallSource(place, via, target[:_MOST_SHOWN]))
