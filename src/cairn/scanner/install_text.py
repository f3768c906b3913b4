"""From where requirement files and commands of pip install packages.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/. Direct references:
https://packaging.python.org/en/latest/specifications/dependency-specifiers/.
"""

import re
from collections.abc import Iterator

from cairn.scanner.shell_text import simple_commands

INDEX, PACKAGE, TRUSTED_HOST = "package index", "package", "trusted host"

_INSTALLER = re.compile(r"\b(?:pip[\d.]*|uv|pipx|poetry|conda|mamba)\b")
_OPTION = re.compile(
    r"(?<![\w-])(?:--(?:extra-|default-)?index(?:-url)?|--find-links|--trusted-host|-i|-f)"
    r"(?:\s*=\s*|\s+)[\"']?(?P<value>[^\s\"']+)"
)
_SETTING = re.compile(
    r"\s*(?P<key>(?:extra-|default-)?index-url|find-links|trusted-host)\s*[=:]\s*"
    r"(?P<value>[^\s\"']+)"
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ADDRESS = re.compile(r"(?:git\+)?(?:https?|ssh|git|ftp)://[^\s\"',;)\]]+")


def sources_in_command(text: str) -> Iterator[tuple[str, str]]:
    """What a command of an installer installs from; nothing of any other command."""
    for command in simple_commands(text):
        if _INSTALLER.search(command) and "install" in command:
            yield from sources_in_line(command)


def sources_in_line(text: str) -> Iterator[tuple[str, str]]:
    """What a line of a requirement file installs from: how, and the address or host."""
    text = _COMMENT.sub("", text)
    setting = _SETTING.match(text)
    if setting:
        yield _kind(setting["key"]), setting["value"]
        return
    options: set[str] = set()
    for found in _OPTION.finditer(text):
        option, value = found[0].partition(found["value"])[0], found["value"]
        options.add(value)
        if "trusted-host" in option or _ADDRESS.match(value):
            yield _kind(option), value
    for found in _ADDRESS.finditer(text):
        if found[0] not in options:
            yield PACKAGE, found[0]


def _kind(option: str) -> str:
    return TRUSTED_HOST if "trusted-host" in option else INDEX
